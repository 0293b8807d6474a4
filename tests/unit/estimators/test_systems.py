"""What defines each named system, on data where it is known."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn.functional import normalize

import semistruct as ss
from semistruct._core.randomness import generator
from semistruct._core.terms import Fuse
from semistruct._core.time_grid import TimeGrid
from semistruct.engine import train
from semistruct.estimators import _deep_stage
from semistruct.objectives import (
    AuxiliaryObjective,
    CoxObjective,
    CrossReconstructionLoss,
    FusedObjective,
    LikelihoodObjective,
    MultiSurvObjective,
    multisurv_loss,
    pearson_correlation,
    similarity_loss,
)

TWO = "omics('a_*') + omics('b_*')"


@cache
def shared(n: int = 400, seed: int = 0) -> tuple[pd.DataFrame, ss.Surv]:
    """Two blocks of columns that are nonlinear in the same two numbers, and noise."""
    maps = generator(99)  # the same for all rows
    to_a, to_b = maps.normal(size=(2, 6)), maps.normal(size=(2, 9))
    rng = generator(seed)
    z = rng.normal(size=(n, 2))
    a = np.tanh(z @ to_a) + 0.2 * rng.normal(size=(n, 6))
    b = z @ to_b + 0.3 * rng.normal(size=(n, 9))
    age = rng.normal(size=n)
    X = pd.DataFrame({"age": age})
    X = X.assign(**{f"a_{j}": a[:, j] for j in range(6)})
    X = X.assign(**{f"b_{j}": b[:, j] for j in range(9)})
    time = rng.exponential(np.exp(-(z[:, 0] + 0.5 * age)))
    censored = rng.exponential(2.0, size=n)
    return X, ss.Surv(np.minimum(time, censored) + 1e-6, time <= censored)


def training(epochs: int, **options: Any) -> ss.Training:
    return ss.Training(max_epochs=epochs, learning_rate=5e-3, **options)


def correlation(vectors: dict[str, pd.DataFrame]) -> float:
    """Mean correlation of like dimensions."""
    one, two = (torch.as_tensor(vectors[k].to_numpy()) for k in ("a_*", "b_*"))
    return float(pearson_correlation(one, two)) / one.shape[1]


def own_minus_others(vectors: dict[str, pd.DataFrame]) -> float:
    """Mean cosine of a row's two vectors, less that of different rows."""
    one, two = (
        normalize(torch.as_tensor(vectors[k].to_numpy()), dim=1) for k in ("a_*", "b_*")
    )
    cosine = (one @ two.T).numpy()
    n = len(cosine)
    others = (cosine.sum() - np.trace(cosine)) / (n * (n - 1))
    return float(np.trace(cosine) / n - others)


def test_correlation_rises_in_the_first_stage_of_deep_corr_surv() -> None:
    X, y = shared()
    new = shared(200, seed=8)[0]
    options: dict[str, Any] = {"random_state": 0, "output_dim": 4}
    model = ss.systems.DeepCorrSurv(
        TWO, "age", pretrain_epochs=15, training=training(1), **options
    ).fit(X, y)
    (stage,) = model.pretraining_
    losses = [row["validation_loss"] for row in stage.history]
    assert min(losses) < losses[0] - 1.0  # of 4 dimensions
    found = correlation(model.embed(new))
    assert found > 0.7
    assert -losses[0] / 4 < 0.5  # before


def spied(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Keep the objectives and their validation rows."""
    seen: list[Any] = []

    def spy(objective, source, validation, **options):
        result = train(objective, source, validation, **options)
        seen.append((objective, validation))
        return result

    monkeypatch.setattr(_deep_stage, "train", spy)
    return seen


@pytest.mark.parametrize("name", ["CrossAE", "ConcatAE"])
def test_cross_ae_reads_one_modality_from_the_other(name, monkeypatch) -> None:
    X, y = shared()
    seen = spied(monkeypatch)
    model = ss.systems.SYSTEMS[name](
        TWO,
        "age",
        hidden=(32,),
        output_dim=4,
        pretrain_epochs=40,
        training=training(1),
        random_state=0,
    ).fit(X, y)
    assert [type(objective) for objective, _ in seen] == [FusedObjective, CoxObjective]
    objective, validation = seen[0]
    loss = objective.loss
    assert isinstance(loss, CrossReconstructionLoss)
    # the codes before the second stage moved them: train the first again
    (batch,) = validation.batches(len(validation))
    with torch.no_grad():
        fused = objective.network.encoder(objective.key).eval()(batch)
    keys = list(fused.modalities)
    share = {}
    for i, source in enumerate(keys):
        for j, target in enumerate(keys):
            with torch.no_grad():
                read = loss.decoders[j](fused.modalities[source])
            error = (read - batch[target]).square().mean() / batch[target].var()
            share[i, j] = 1 - float(error)
    assert min(share[0, 0], share[1, 1]) > 0.5  # each from its own code
    across = min(share[0, 1], share[1, 0])
    assert across > 0.4 if name == "CrossAE" else across < 0.2
    (stage,) = model.pretraining_
    assert stage.best_loss < stage.history[0]["validation_loss"] / 2


def test_a_patients_own_modalities_are_alike_in_pancancer_surv(monkeypatch) -> None:
    X, y = shared()
    new = shared(200, seed=8)[0]
    seen = spied(monkeypatch)
    found, losses = {}, {}
    for weight in (0.0, 0.3):
        model = ss.systems.PancancerSurv(
            TWO,
            similarity_weight=weight,
            output_dim=8,
            training=training(15, patience=None),
            random_state=0,
        ).fit(X, y)
        vectors = model.embed(new)
        found[weight] = own_minus_others(vectors)
        both_of = [torch.as_tensor(vectors[k].to_numpy()) for k in ("a_*", "b_*")]
        losses[weight] = float(similarity_loss(both_of))
        assert model.pretraining_ == []
    (plain, _), (both, _) = seen
    assert isinstance(plain, CoxObjective)
    assert isinstance(both, AuxiliaryObjective)
    assert both.weight == 0.3
    assert model.history_["train_similarity"].iloc[1:].gt(0).all()
    assert found[0.3] > 0.1  # the margin
    assert losses[0.3] < 0.9 * losses[0.0]  # of new rows


def test_pancancer_surv_has_the_papers_numbers() -> None:
    model = ss.systems.PancancerSurv(TWO)
    assert (model.similarity_weight, model.margin, model.modality_dropout) == (
        0.3,
        0.1,
        0.25,
    )
    (term,) = model.terms
    assert isinstance(term, Fuse)
    assert (term.how, term.modality_dropout, term.head) == ("mean", 0.25, "linear")


def test_multi_survs_loss_is_the_one_computed_by_hand(monkeypatch) -> None:
    # intervals end at 1, 2, 3. Row 1: an event in the second; row 2: censored in the
    # first, past its midpoint, which counts as survived
    y = ss.Surv([1.5, 0.7], [True, False])
    times, codes = y.to_pycox()
    target = TimeGrid([1.0, 2.0, 3.0]).target(times, codes, censored="midpoint")
    assert target[:, :2].tolist() == [[1, 1], [1, 0]]
    q = torch.tensor([[0.9, 0.6, 0.5], [0.8, 0.7, 0.5]], dtype=torch.float64)
    by_hand = -(np.log(0.9) + np.log(1 - 0.6) + np.log(0.8)) / 6
    found = multisurv_loss(q, torch.as_tensor(target))
    assert float(found) == pytest.approx(by_hand, rel=1e-9)
    seen = spied(monkeypatch)
    X, y = shared()
    model = ss.systems.MultiSurv(
        TWO, cuts=5, output_dim=8, training=training(3), random_state=0
    ).fit(X, y)
    ((objective, _),) = seen
    assert isinstance(objective, MultiSurvObjective)
    (term,) = model.terms
    assert isinstance(term, Fuse)
    assert (term.how, term.head) == ("max", "mlp")
    curves = model.predict_survival_function(X[:20]).values
    assert curves.shape == (20, 5)
    assert (np.diff(curves, axis=1) <= 0).all()


def test_deep_surv_finds_what_a_line_cannot() -> None:
    rng = generator(0)
    X = pd.DataFrame(rng.uniform(-1, 1, size=(600, 2)), columns=["u", "v"])
    risk = 3.0 * (X["u"] ** 2 + X["v"] ** 2 < 0.6)
    time = rng.exponential(np.exp(-risk.to_numpy()))
    y = ss.Surv(time, np.ones(600, dtype=bool))
    deep = ss.systems.DeepSurv(training=training(40), random_state=0).fit(
        X[:400], y[:400]
    )
    line = ss.SemiStructuredSurvival("u + v").fit(X[:400], y[:400])
    assert deep.score(X[400:], y[400:]) > 0.68
    assert line.score(X[400:], y[400:]) < 0.6


def test_wide_deep_surv_reads_the_wide_part_and_adds_the_deep_one() -> None:
    X, y = shared()
    model = ss.systems.WideDeepSurv(
        TWO, "age", training=training(15), random_state=0
    ).fit(X, y)
    terms = model.predict_terms(X)
    assert list(terms) == ["age", "omics(a_*)", "omics(b_*)"]
    assert model.params_["age"] == pytest.approx(0.5, abs=0.2)
    alone = ss.SemiStructuredSurvival("age").fit(X, y)
    assert model.score(X, y) > alone.score(X, y) + 0.05


def test_deep_pamm_agrees_with_cox_where_hazards_are_proportional() -> None:
    X, y = shared()
    deep = ss.systems.DeepPAMM(
        None, "age + b_0 + b_1", cuts=40, training=training(1), random_state=0
    ).fit(X, y)
    cox = ss.SemiStructuredSurvival("age + b_0 + b_1").fit(X, y)
    names = ["age", "b_0", "b_1"]
    np.testing.assert_allclose(deep.params_[names], cox.params_[names], atol=0.06)
    both = ss.systems.DeepPAMM(
        "omics('a_*')", "age", cuts=20, training=training(15), random_state=0
    ).fit(X, y)
    assert both.score(X, y) > ss.SemiStructuredSurvival("age").fit(X, y).score(X, y)


def test_ssddr_models_the_scale_too(monkeypatch) -> None:
    rng = generator(1)
    X = shared(500, seed=2)[0]
    y = X["age"] + X["b_0"] + np.exp(0.7 * X["age"]) * rng.normal(size=500)
    seen = spied(monkeypatch)
    terms = {"loc": "age + omics('b_*')", "scale": "age"}
    model = ss.systems.SSDDR(terms, training=training(10), random_state=0).fit(X, y)
    ((objective, _),) = seen
    assert isinstance(objective, LikelihoodObjective)
    assert type(objective.network).__name__ == "BatchCell"  # the paper's cell
    assert model.params_["scale", "age"] == pytest.approx(0.7, abs=0.15)
    # over the rows of fit the deep term is orthogonal to what is structured
    deep = model.predict_terms(X)["loc"]["omics(b_*)"]
    scale = model.predict_parameters(X)["scale"].to_numpy()
    assert abs(np.corrcoef(X["age"], deep)[0, 1]) < 0.3
    assert np.corrcoef(np.log(scale), X["age"])[0, 1] > 0.99


def test_two_stage_leaves_the_first_stage_as_it_was() -> None:
    X = shared(500, seed=3)[0]
    y = 2 * X["age"] + np.sin(3 * X["a_0"]) + 0.8 * X["age"] * X["b_0"]
    first = ss.SemiStructuredRegressor("age").fit(X, y)
    scores = {}
    for second in ("additive", "nonlinear"):
        model = ss.systems.TwoStage(
            TWO, "age", second=second, training=training(60), random_state=0
        ).fit(X[:400], y[:400])
        scores[second] = model.score(X[400:], y[400:])
        own = ss.SemiStructuredRegressor("age").fit(X[:400], y[:400])
        np.testing.assert_allclose(model.coef_, own.coef_, rtol=1e-10)
    assert scores["additive"] > first.score(X, y) - 0.02
    assert scores["nonlinear"] > scores["additive"] + 0.02  # age × b_0


def test_rows_that_lack_a_modality_have_no_vector_of_it() -> None:
    X, y = shared()
    X = X.copy()
    X.loc[:9, [c for c in X if c.startswith("a_")]] = np.nan
    X.loc[:4, [c for c in X if c.startswith("b_")]] = np.nan
    model = ss.systems.CrossAE(
        TWO, "age", pretrain_epochs=1, training=training(1), random_state=0
    ).fit(X, y)
    vectors = model.embed(X)
    assert {k: len(v) for k, v in vectors.items()} == {
        "a_*": 390,
        "b_*": 395,
        "fused": 395,
    }
    assert list(vectors["a_*"].index) == list(range(10, 400))
    assert np.isfinite(model.predict(X)).all()
    only_b = vectors["b_*"].loc[5:9]
    np.testing.assert_allclose(vectors["fused"].loc[5:9], only_b, atol=1e-6)
    assert model.predictor_.network is not None
    table = ss.systems.CrossAE(None, "age").fit(X, y)
    assert table.embed(X) == {}
