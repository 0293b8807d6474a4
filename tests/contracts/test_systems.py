"""What every named system keeps to: rows stand alone, missing is no zero."""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from torch import nn

import semistruct as ss
from semistruct._core.randomness import generator
from semistruct.engine import train
from semistruct.estimators import _deep_stage
from semistruct.exceptions import ParameterError

TRAINING = ss.Training(max_epochs=3, learning_rate=1e-2, patience=None)
DEEP = "image(scan) + omics('rna_*')"
GENES = "omics('rna_*') + omics('meth_*')"
TABLE = "age + s(bmi, k=5)"
OPTIONS: dict[str, dict[str, Any]] = {
    "ConcatAE": {"modalities": GENES, "structured": TABLE, "pretrain_epochs": 2},
    "CrossAE": {"modalities": GENES, "structured": TABLE, "pretrain_epochs": 2},
    "DeepConvSurv": {"image": "scan"},
    "DeepCorrSurv": {"modalities": DEEP, "structured": TABLE, "pretrain_epochs": 2},
    "DeepPAMM": {"modalities": DEEP, "structured": TABLE, "cuts": 8},
    "DeepSurv": {"columns": ["age", "bmi", "stage"], "hidden": (8,)},
    "MultiSurv": {"modalities": DEEP, "cuts": 4, "output_dim": 8},
    "PancancerSurv": {"modalities": DEEP, "structured": TABLE},
    "SSDDR": {"terms": {"loc": f"{TABLE} + image(scan)", "scale": "age"}},
    "TwoStage": {"modalities": DEEP, "structured": TABLE, "second": "nonlinear"},
    "WideDeepSurv": {"modalities": DEEP, "structured": TABLE},
}
REGRESSION = ("SSDDR", "TwoStage")
MULTIMODAL = [name for name, own in OPTIONS.items() if "modalities" in own]


def data(name: str, n: int = 160) -> tuple[pd.DataFrame, Any]:
    make = ss.datasets.make_survival_digits
    if name in REGRESSION:
        make = ss.datasets.make_regression_digits
    X, y = make(n, missing=0.1, random_state=1)
    y = np.asarray(y) if name in REGRESSION else y
    rng = generator(5)
    for kind in ("rna", "meth"):
        outcome = y if name in REGRESSION else -np.log(y.time) - 0.5 * ~y.event
        block = rng.normal(size=(n, 3)) + 1.5 * (outcome - outcome.mean())[:, None]
        block[:7] = np.nan  # seven rows without this modality
        X = X.assign(**{f"{kind}_{j}": block[:, j] for j in range(3)})
    return X, y


def make(name: str, **options: Any) -> Any:
    cls = ss.systems.SYSTEMS[name]
    return cls(**{"training": TRAINING, "random_state": 0, **OPTIONS[name], **options})


@cache
def fitted(name: str) -> tuple[Any, pd.DataFrame, Any]:
    X, y = data(name)
    return make(name).fit(X, y), X, y


def predictions(name: str, model: Any, X: pd.DataFrame) -> np.ndarray:
    found = [np.asarray(model.predict(X))]
    if name not in REGRESSION:
        curves = model.predict_survival_function(X, times=[1.0, 3.0]).values
        found += list(curves.T)
    return np.column_stack(found)


EACH = pytest.mark.parametrize("name", list(ss.systems.SYSTEMS))


def test_the_registry_holds_every_system() -> None:
    assert set(ss.systems.__all__) - {"SYSTEMS"} == set(ss.systems.SYSTEMS)
    assert set(OPTIONS) == set(ss.systems.SYSTEMS)


@EACH
def test_it_names_its_paper_and_what_differs(name) -> None:
    text = inspect.getdoc(ss.systems.SYSTEMS[name]) or ""
    assert "doi:10." in text
    assert "ifferent from" in text or "nothing keeps" in text
    parameters = inspect.signature(ss.systems.SYSTEMS[name]).parameters
    assert [p for p in parameters if f"{p} : " not in text] == []


@EACH
def test_the_network_learns_and_predicts_finite_numbers(name) -> None:
    model, X, _ = fitted(name)
    assert np.isfinite(predictions(name, model, X)).all()
    losses = model.history_["train_loss"]
    assert losses.iloc[-1] < losses.iloc[1]  # row 0 is before the first step
    assert all(np.abs(share).max() > 0 for share in model.deep_share_.values())


@EACH
def test_a_gradient_reaches_every_parameter(name, monkeypatch) -> None:
    stages = []

    def spy(objective, source, *args, **kwargs):
        result = train(objective, source, *args, **kwargs)
        before = {k: v.clone() for k, v in objective.state_dict().items()}
        inner = getattr(objective.network, "network", objective.network)
        for parameter in inner.heads.parameters():
            nn.init.normal_(parameter)  # 0 would let nothing through
        (batch,) = source.batches(len(source))
        objective.train().step(batch).loss.backward()
        named = dict(objective.named_parameters())
        stages.append(
            [k for k, p in named.items() if p.grad is None or not p.grad.any()]
        )
        objective.zero_grad()
        objective.eval().load_state_dict(before)
        return result

    monkeypatch.setattr(_deep_stage, "train", spy)
    X, y = data(name)
    make(name).fit(X, y)
    *first, main = stages
    # a level is the baseline's (Cox), or the intercept's (projected out in each batch)
    assert [k for k in main if not k.endswith("network.heads.0.bias")] == []
    assert len(first) == ("pretrain_epochs" in OPTIONS[name])
    for silent in first:  # before the target is there, its layer learns nothing
        left = [k for k in silent if not k.startswith("network.heads")]
        if name == "DeepCorrSurv":  # correlations ignore the level
            left = [k for k in left if not k.endswith("bias")]
        assert left == []


@EACH
def test_rows_stand_alone_and_their_order_does_not_matter(name) -> None:
    model, X, _ = fitted(name)
    whole = predictions(name, model, X)
    order = generator(0).permutation(len(X))
    shuffled = predictions(name, model, X.iloc[order])
    np.testing.assert_allclose(shuffled, whole[order], rtol=0, atol=1e-5)
    few = predictions(name, model, X.iloc[[3, 50]])
    np.testing.assert_allclose(few, whole[[3, 50]], rtol=0, atol=1e-5)


@EACH
def test_the_same_seed_gives_the_same_model(name) -> None:
    model, X, y = fitted(name)
    again = clone(model).fit(X, y)
    assert (predictions(name, again, X) == predictions(name, model, X)).all()


@EACH
def test_saved_and_loaded(name, tmp_path) -> None:
    model, X, _ = fitted(name)
    model.save(tmp_path / "model")
    again = ss.load(tmp_path / "model")
    assert type(again) is type(model)
    found = predictions(name, again, X)
    np.testing.assert_allclose(found, predictions(name, model, X), rtol=0, atol=1e-6)
    assert str(again.summary()) == str(model.summary())
    if hasattr(model, "embed"):
        vectors = again.embed(X)
        for key, table in model.embed(X).items():
            pd.testing.assert_frame_equal(vectors[key], table)


@EACH
def test_parameters_are_stored_and_cloned(name) -> None:
    model = make(name)
    for key, value in OPTIONS[name].items():
        assert getattr(model, key) is value
    copy = clone(model)
    assert copy.get_params(deep=False).keys() == model.get_params(deep=False).keys()
    assert copy.set_params(training__max_epochs=2).training.max_epochs == 2


@pytest.mark.parametrize("name", MULTIMODAL)
def test_a_missing_modality_is_no_zero(name) -> None:
    model, X, _ = fitted(name)
    kind = "meth" if "meth" in OPTIONS[name]["modalities"] else "scan"
    gone = [c for c in X if c.startswith(kind)]
    absent = predictions(name, model, X.drop(columns=gone))
    blank = X.copy()
    for column in gone:
        nothing: Any = None if column == "scan" else np.nan
        blank[column] = pd.Series([nothing] * len(X), index=X.index)
    found = predictions(name, model, blank)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found, absent, rtol=0, atol=1e-6)
    assert not np.allclose(found, predictions(name, model, X), atol=1e-4)


@pytest.mark.parametrize("name", [n for n in MULTIMODAL if n != "TwoStage"])
def test_the_table_or_one_modality_alone_is_fitted(name) -> None:
    X, y = data(name)
    one = make(name, modalities="omics('rna_*')").fit(X, y)
    assert np.isfinite(predictions(name, one, X)).all()
    table = make(name, modalities=None, structured="age").fit(X, y)
    assert table.history_.empty
    assert np.isfinite(predictions(name, table, X)).all()


@pytest.mark.parametrize("name", MULTIMODAL)
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"modalities": "age"}, "modalities.*deep terms.*age"),
        ({"structured": "image(scan)"}, "structured.*structured terms"),
        ({"modalities": "fuse(image(scan), omics('rna_*'))"}, "not fused"),
        ({"modalities": None, "structured": None}, "modalities|structured"),
    ],
)
def test_terms_in_the_wrong_place_are_named(name, options, words) -> None:
    X, y = data(name)
    with pytest.raises(ParameterError, match=words):
        make(name, **options).fit(X, y)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ConcatAE", {"pretrain_epochs": 0}),
        ("CrossAE", {"modalities": DEEP}),
        ("DeepCorrSurv", {"correlation": "spearman"}),
        ("DeepCorrSurv", {"pretrain_epochs": 1.5}),
        ("DeepSurv", {"columns": []}),
        ("DeepSurv", {"hidden": 3}),
        ("MultiSurv", {"fusion": "maximum"}),
        ("MultiSurv", {"output_dim": 0}),
        ("PancancerSurv", {"margin": -1}),
        ("PancancerSurv", {"modality_dropout": 1.0}),
        ("PancancerSurv", {"similarity_weight": -0.1}),
        ("TwoStage", {"second": "linear"}),
    ],
)
def test_options_are_checked(name, options) -> None:
    X, y = data(name)
    (key,) = options
    with pytest.raises((ParameterError, ValueError), match=key.removesuffix("ion")):
        make(name, **options).fit(X, y)
