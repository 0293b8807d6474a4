"""Early fusion: features of a modality, learned from the rows of fit alone."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV, KFold, cross_validate
from torch import nn

import semistruct as ss
from semistruct._core.terms import PCA as PCATerm
from semistruct._core.terms import Fuse, Image, Omics, Tabular
from semistruct._core.torchvision import import_torchvision
from semistruct.encoders import ResNet, build_encoder
from semistruct.estimators._components import components
from semistruct.estimators._early import sources
from semistruct.exceptions import (
    ColumnError,
    DataError,
    FormulaError,
    ParameterError,
    PersistenceError,
)

from .conftest import quick


def genes(n: int = 120, p: int = 12, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """A table of genes that two factors drive, and a response of the first."""
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(n, 2)) * [3.0, 1.5]
    rna = factors @ rng.normal(size=(2, p)) + 0.3 * rng.normal(size=(n, p))
    X = pd.DataFrame(rna, columns=[f"rna_{j}" for j in range(p)])
    X["age"] = rng.normal(size=n)
    y = factors[:, 0] + 0.5 * X["age"].to_numpy() + 0.3 * rng.normal(size=n)
    return X, y


RNA = "age + pca(omics('rna_*'), 3)"


def scores(X: pd.DataFrame, k: int = 3) -> np.ndarray:
    """Literal: standardise, then scikit-learn's exact PCA."""
    rna = X.filter(like="rna_").to_numpy()
    rna = (rna - rna.mean(axis=0)) / rna.std(axis=0)
    return PCA(k, svd_solver="full").fit_transform(rna)


# -- components ---------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(60, 8), (12, 40)])
def test_components_are_those_of_scikit_learn(shape):
    values = np.random.default_rng(1).normal(size=shape) @ np.diag(
        np.linspace(3, 1, shape[1])
    )
    found = components(values, 4, None, scaled=False, label="pca(x, 4)")
    oracle = PCA(4, svd_solver="full").fit(values)
    sign = np.sign(np.sum(found.rotation * oracle.components_.T, axis=0))
    np.testing.assert_allclose(found.rotation * sign, oracle.components_.T, atol=1e-10)
    np.testing.assert_allclose(found.mean, oracle.mean_, atol=1e-12)
    np.testing.assert_allclose(found.share, oracle.explained_variance_ratio_)


def test_weights_are_repetition():
    rng = np.random.default_rng(2)
    values, weight = rng.normal(size=(30, 6)), rng.integers(0, 4, size=30)
    repeated = np.repeat(values, weight, axis=0)
    a = components(values, 3, weight.astype(float), scaled=True, label="")
    b = components(repeated, 3, None, scaled=True, label="")
    for one, other in zip(a, b, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-10)


def test_the_randomised_decomposition_finds_the_same_space():
    rng = np.random.default_rng(3)
    base = rng.normal(size=(1100, 5)) * [9, 7, 5, 4, 3]
    values = base @ rng.normal(size=(5, 1050)) + 0.01 * rng.normal(size=(1100, 1050))
    found = components(values, 5, None, scaled=False, label="")
    centred = values - values.mean(axis=0)
    exact = np.linalg.svd(centred, full_matrices=False)[2][:5]
    np.testing.assert_allclose(
        np.linalg.svd(exact @ found.rotation)[1], np.ones(5), atol=1e-6
    )


# -- as structured columns -------------------------------------------------------------


def test_features_are_columns_like_any_other():
    X, y = genes()
    model = ss.SemiStructuredRegressor(RNA).fit(X, y)
    by_hand = pd.DataFrame(scores(X), columns=["a", "b", "c"]).assign(age=X["age"])
    oracle = ss.SemiStructuredRegressor("age + a + b + c").fit(by_hand, y)
    np.testing.assert_allclose(model.predict(X), oracle.predict(by_hand), atol=1e-5)
    np.testing.assert_allclose(
        np.abs(model.coef_), np.abs(oracle.coef_), rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(
        model.summary().coefficients["std err"].to_numpy(),
        oracle.summary().coefficients["std err"].to_numpy(),
        rtol=1e-4,
    )
    names = ["Intercept", "age", "pca(rna_*)[0]", "pca(rna_*)[1]", "pca(rna_*)[2]"]
    assert list(model.params_.index) == names
    assert list(model.predict_terms(X)) == names
    assert "pca(omics('rna_*'), 3)" in model.summary().formula
    assert model.n_features_in_ == 13
    assert "pca(rna_*)[0]" not in model.feature_names_in_


def test_every_task_takes_them(case):
    terms = "age + pca(image(scan), 4)"
    model = case.make(terms).fit(case.X, case.y)
    assert sum("pca(scan)[" in name for name in model.params_.index) == 4
    one, all_ = (model.predict_terms(X) for X in (case.X.iloc[[5]], case.X))
    np.testing.assert_allclose(one, all_.iloc[[5]], atol=1e-12)


def test_columns_may_stand_in_any_order_among_others():
    X, y = genes()
    model = ss.SemiStructuredRegressor(RNA).fit(X, y)
    shuffled = X[X.columns[::-1]].assign(more=1.0)
    np.testing.assert_allclose(model.predict(shuffled), model.predict(X))


def test_one_term_of_two_formulas_is_learned_once():
    X, y = genes()
    term = "pca(omics('rna_*'), 2)"
    model = ss.SemiStructuredRegressor({"loc": term, "scale": term}).fit(X, y)
    assert len(model.features_.parts) == 1
    assert len(model.params_) == 6


def test_sample_weight_is_repetition():
    X, y = genes(60)
    weight = np.random.default_rng(0).integers(0, 3, size=60)
    rows = np.repeat(np.arange(60), weight)
    a = ss.SemiStructuredRegressor(RNA).fit(X, y, sample_weight=weight)
    b = ss.SemiStructuredRegressor(RNA).fit(X.iloc[rows], y[rows])
    np.testing.assert_allclose(a.predict(X), b.predict(X), atol=1e-5)


# -- no leak ---------------------------------------------------------------------------


def state(model):
    """All that was learned for the features, as arrays and text."""

    def leaves(value):
        if isinstance(value, dict):
            return [leaf for v in value.values() for leaf in leaves(v)]
        if isinstance(value, list | tuple):
            return [leaf for v in value for leaf in leaves(v)]
        return [value]

    return leaves(model.features_.to_state())


def test_no_held_out_row_is_seen():
    X, y = genes()
    folds = list(KFold(3, shuffle=True, random_state=0).split(X))
    rna = [c for c in X if c.startswith("rna_")]
    for train, test in folds:
        poisoned = X.copy()
        wild = np.random.default_rng(0).normal(size=(len(test), len(rna)))
        poisoned.loc[X.index[test], rna] = 1e9 * wild
        fitted = [
            cross_validate(
                ss.SemiStructuredRegressor(RNA),
                table,
                y,
                cv=[(train, test)],
                return_estimator=True,
            )["estimator"][0]
            for table in (X, poisoned)
        ]
        for clean, other in zip(*map(state, fitted), strict=True):
            np.testing.assert_array_equal(clean, other)
        np.testing.assert_array_equal(fitted[0].coef_, fitted[1].coef_)
        # the test would see a leak: on all rows the poison shows
        leaked = ss.SemiStructuredRegressor(RNA).fit(poisoned, y)
        rotations = [m.features_.parts[0].rotation for m in (leaked, fitted[0])]
        assert np.abs(rotations[0] - rotations[1]).max() > 1e-3


def test_images_of_held_out_rows_are_not_seen(regression):
    X, y = regression.X, regression.y
    train, test = np.arange(160), np.arange(160, len(X))
    poisoned = X.copy()
    white = np.full((len(test), 8, 8), 255, dtype=np.uint8)
    block = np.concatenate([np.stack(list(X["scan"].iloc[train])), white])
    poisoned["scan"] = pd.Series(ss.TensorArray(block), index=X.index)
    fitted = [
        ss.SemiStructuredRegressor("age + pca(image(scan), 5)")
        .fit(table.iloc[train], y[train])
        .features_.parts[0]
        for table in (X, poisoned)
    ]
    np.testing.assert_array_equal(fitted[0].rotation, fitted[1].rotation)
    np.testing.assert_array_equal(fitted[0].mean, fitted[1].mean)


def test_a_grid_searches_the_number_of_components():
    X, y = genes()
    grid = {"terms": [f"age + pca(omics('rna_*'), {k})" for k in (1, 2, 3)]}
    search = GridSearchCV(ss.SemiStructuredRegressor(), grid, cv=3).fit(X, y)
    assert search.best_score_ > 0.9
    assert search.cv_results_["mean_test_score"].min() < search.best_score_


# -- missing modalities ----------------------------------------------------------------


def test_a_missing_modality_has_the_mean():
    X, y = genes()
    rna = [c for c in X if c.startswith("rna_")]
    gaps = X.copy()
    gaps.loc[gaps.index[:20], rna] = np.nan
    model = ss.SemiStructuredRegressor(RNA).fit(gaps, y)
    terms = model.predict_terms(gaps)
    assert (terms.filter(like="pca").iloc[:20] == 0).all(axis=None)
    # it was learned from the others
    whole = ss.SemiStructuredRegressor(RNA).fit(X.iloc[20:], y[20:])
    part, other = model.features_.parts[0], whole.features_.parts[0]
    np.testing.assert_allclose(part.rotation, other.rotation, atol=1e-6)
    absent = model.predict(gaps[["age"]])
    np.testing.assert_allclose(absent[:20], model.predict(gaps)[:20])
    with pytest.raises(ColumnError, match="lacks the column 'rna_3'"):
        model.predict(X.drop(columns="rna_3"))


def test_a_row_that_lacks_some_genes_is_named():
    X, y = genes()
    X.loc[7, "rna_2"] = np.nan
    with pytest.raises(DataError, match=r"row 7 lacks the column 'rna_2'"):
        ss.SemiStructuredRegressor(RNA).fit(X, y)


def test_dropped_rows_are_not_learned_from():
    X, y = genes()
    gaps = X.copy()
    gaps.loc[:9, "age"] = np.nan
    with pytest.warns(UserWarning, match="dropped 10"):
        model = ss.SemiStructuredRegressor(RNA, missing="drop").fit(gaps, y)
    other = ss.SemiStructuredRegressor(RNA).fit(X.iloc[10:], y[10:])
    for a, b in zip(state(model), state(other), strict=True):
        np.testing.assert_array_equal(a, b)


# -- as the input of another encoder ---------------------------------------------------


def test_features_enter_another_encoder(tmp_path):
    X, y = genes(200)
    model = ss.SemiStructuredRegressor(
        "age + tabular(pca(omics('rna_*'), 3))",
        training=quick(max_epochs=40, learning_rate=2e-2),
        random_state=0,
    ).fit(X, y)
    assert model.score(X, y) > 0.8
    assert list(model.params_.index) == ["Intercept", "age"]
    label = "tabular(pca(omics(rna_*), 3))"
    assert list(model.predict_terms(X)) == ["Intercept", "age", label]
    gaps = X.copy()
    gaps.loc[:4, [c for c in X if c.startswith("rna_")]] = np.nan
    said = model.predict_terms(gaps)[label]
    assert (said[:5] == 0).all()
    assert (said[5:] != 0).all()
    assert (model.predict_terms(X[["age"]])[label] == 0).all()
    model.save(tmp_path / "model")
    again = ss.load(tmp_path / "model")
    np.testing.assert_array_equal(again.predict(gaps), model.predict(gaps))


def test_a_term_is_both_a_column_and_an_input():
    X, y = genes()
    terms = "pca(omics('rna_*'), 2) + tabular(pca(omics('rna_*'), 2), age)"
    model = ss.SemiStructuredRegressor(terms, training=quick(), random_state=0)
    model.fit(X, y)
    assert [p.nested for p in model.features_.parts] == [False, True]


def test_features_are_fused_with_a_modality(regression, tmp_path):
    rng = np.random.default_rng(0)
    n = len(regression.X)
    rna = pd.DataFrame(rng.normal(size=(n, 4)), columns=[f"rna_{j}" for j in range(4)])
    X = pd.concat([regression.X.reset_index(drop=True), rna], axis=1)
    X.loc[:3, list(rna)] = np.nan
    model = ss.SemiStructuredRegressor(
        "age + fuse(pca(omics('rna_*'), 2), image(scan), how='concat')",
        encoders={"pca_rna_*": ss.MLP(hidden=(4,), output_dim=3)},
        training=quick(),
        random_state=0,
    ).fit(X, regression.y)
    assert set(model.feature_names_in_) == {"age", "scan", *rna}
    options = model.get_params()
    assert options["pca_rna_*__output_dim"] == 3
    assert "scan__width" in options
    model.save(tmp_path / "model")
    again = ss.load(tmp_path / "model")
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    # what is computed from a modality that is not there is masked, not a zero
    part = model.features_.parts[0]
    assert part.nested
    assert part.make(X).iloc[:4].isna().all(axis=None)
    assert np.isfinite(model.predict(X.drop(columns=list(rna)))).all()


def test_only_what_is_trained_has_options():
    model = ss.SemiStructuredRegressor("age + pca(image(scan), 3)")
    assert not [k for k in model.get_params() if k.startswith(("scan", "pca"))]
    model = ss.SemiStructuredRegressor("pca(pretrained(resnet, scan), 3)")
    model.set_params(pretrained_scan__weights="weights.pt")
    assert model.encoders["pretrained_scan"].weights == "weights.pt"


def test_another_terms_encoder_is_not_taken(regression, module):
    model = ss.SemiStructuredRegressor(
        "pretrained(mine, scan) + image(scan)",
        encoders={"mine": module, "scan": ss.CNN(width=4)},
        training=quick(),
        random_state=0,
    ).fit(regression.X, regression.y)
    assert sum("pretrained" in name for name in model.params_.index) == 5
    assert model.predictor_.parts["scan"].encoder.width == 4


def test_categories_have_no_components(regression):
    model = ss.SemiStructuredRegressor("pca(tabular(age, stage), 1)")
    with pytest.raises(DataError, match="'stage' holds categories"):
        model.fit(regression.X, regression.y)
    model.set_params(terms="pca(tabular(age, bmi), 1)").fit(regression.X, regression.y)
    texts = regression.X.assign(note="a word")
    model.set_params(terms="pca(text(note), 1)")
    with pytest.raises(ParameterError, match=r"tabular\(\) of numbers"):
        model.fit(texts, regression.y)


def test_sources_are_columns_of_the_table():
    known = ["rna_1", "rna_2", "age", "scan"]
    pca = PCATerm(Omics(("rna_*",)), 2)
    assert sources(pca, known) == ("rna_1", "rna_2")
    assert sources(Tabular((pca, "age")), known) == ("rna_1", "rna_2", "age")
    assert sources(Fuse((pca, Image("scan"))), known) == ("rna_1", "rna_2", "scan")


# -- pretrained encoders ---------------------------------------------------------------


@pytest.fixture
def module():
    torch.manual_seed(0)
    layers = nn.Flatten(), nn.Linear(64, 5), nn.Dropout(0.5), nn.Tanh()
    return nn.Sequential(*layers).train()


@pytest.mark.parametrize("key", ["mine", "scan", "pretrained_scan"])
def test_a_module_of_the_user_is_frozen(regression, module, key):
    before = copy.deepcopy(module.state_dict())
    model = ss.SemiStructuredRegressor(
        "age + pretrained(mine, scan)", encoders={key: module}
    ).fit(regression.X, regression.y)
    assert all(torch.equal(before[k], v) for k, v in module.state_dict().items())
    part = model.features_.parts[0]
    assert all(not w.requires_grad for w in part.reader.module.parameters())
    pixels, _ = part.reader.modality.read(regression.X)
    with torch.no_grad():
        raw = copy.deepcopy(module).eval()(pixels).double().numpy()
    made = part.make(regression.X)
    oracle = (raw - raw.mean(axis=0)) / raw.std(axis=0)
    np.testing.assert_allclose(made.to_numpy(), oracle, atol=1e-5)
    assert module.training
    names = list(model.params_.index)
    assert names[2] == "pretrained(mine, scan)[0]"


def test_components_of_a_pretrained_encoder(regression, module, tmp_path):
    model = ss.SemiStructuredRegressor(
        "age + pca(pretrained(mine, scan), 2)", encoders={"mine": module}
    ).fit(regression.X, regression.y)
    assert len(model.params_) == 4
    expected = model.predict(regression.X)
    model.save(tmp_path / "model")
    with pytest.raises(PersistenceError, match=r"encoders=\{'pretrained_scan': mod"):
        ss.load(tmp_path / "model")
    fresh = copy.deepcopy(module)
    nn.init.zeros_(fresh[1].weight)  # the stored weights are filled in
    again = ss.load(tmp_path / "model", encoders={"mine": fresh})
    np.testing.assert_array_equal(again.predict(regression.X), expected)


def test_a_registered_encoder_with_weights(regression, tmp_path):
    torchvision = import_torchvision("this test")
    torch.manual_seed(1)
    network = torchvision.models.resnet18()
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    trained = ResNet(output_dim=6, weights=str(tmp_path / "weights.pt"))
    X, y = regression.X.iloc[:60], regression.y[:60]
    model = ss.SemiStructuredRegressor(
        "age + pca(pretrained(resnet, scan), 2)",
        encoders={"pretrained_scan": trained},
    ).fit(X, y)
    part = model.features_.parts[0]
    pixels, _ = part.reader.modality.read(X)
    module, _ = build_encoder(trained, part.reader.modality.input_shape)
    with torch.no_grad():
        raw = module.eval().features(pixels).double().numpy()
    assert raw.shape == (60, 512)  # not the last layer, which no one has trained
    expected = model.predict(X)
    model.save(tmp_path / "model")
    (tmp_path / "weights.pt").unlink()  # a saved model needs it no more
    again = ss.load(tmp_path / "model")
    np.testing.assert_allclose(again.predict(X), expected, atol=1e-6)


def test_an_encoder_without_weights_is_refused(regression):
    model = ss.SemiStructuredRegressor("pretrained(resnet, scan)")
    with pytest.raises(ParameterError, match="an encoder with weights"):
        model.fit(regression.X, regression.y)
    unknown = ss.SemiStructuredRegressor("pretrained(resnett, scan)")
    with pytest.raises(ParameterError, match="Did you mean 'resnet'"):
        unknown.fit(regression.X, regression.y)


def test_features_that_say_nothing_are_refused(regression):
    silent = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    nn.init.zeros_(silent[1].weight)
    model = ss.SemiStructuredRegressor(
        "age + pretrained(mine, scan)", encoders={"mine": silent}
    )
    with pytest.raises(DataError, match="says the same of every row"):
        model.fit(regression.X, regression.y)
    with torch.no_grad():  # one output is dead, one is not
        silent[1].weight[0] = torch.randn(64)
    model.fit(regression.X, regression.y)
    assert len(model.params_) == 3


def test_numbers_that_are_not_finite_are_refused(regression):
    wild = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    nn.init.constant_(wild[1].weight, float("inf"))
    model = ss.SemiStructuredRegressor(
        "age + pretrained(mine, scan)", encoders={"mine": wild}
    )
    with pytest.raises(DataError, match="not finite"):
        model.fit(regression.X, regression.y)


# -- life ------------------------------------------------------------------------------


def test_saved_pickled_and_cloned(regression, tmp_path):
    model = ss.SemiStructuredRegressor("age + pca(image(scan), 5)")
    model.fit(regression.X, regression.y)
    expected = model.predict(regression.X)
    model.save(tmp_path / "model")
    again = ss.load(tmp_path / "model")
    np.testing.assert_array_equal(again.predict(regression.X), expected)
    np.testing.assert_array_equal(
        again.predict_terms(regression.X), model.predict_terms(regression.X)
    )
    pickled = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(pickled.predict(regression.X), expected)
    other = clone(model).fit(regression.X, regression.y)
    np.testing.assert_array_equal(other.predict(regression.X), expected)


def test_a_table_of_features_is_taken_as_it_is():
    X, y = genes()
    model = ss.SemiStructuredRegressor(RNA).fit(X, y)
    made = model.features_.transform(X)
    kept = made[["age", *model.features_.names]]
    np.testing.assert_allclose(model.predict(kept), model.predict(X))
    np.testing.assert_allclose(model.predict(made), model.predict(X))


def test_effects_of_features_can_be_asked_for():
    X, y = genes()
    model = ss.SemiStructuredRegressor(RNA).fit(X, y)
    slope = ss.analysis.average_slope(
        model, model.features_.transform(X), "pca(rna_*)[0]"
    )
    assert slope.estimate == pytest.approx(model.params_["pca(rna_*)[0]"])


# -- errors ----------------------------------------------------------------------------


def test_too_many_components_are_named():
    X, y = genes(p=4)
    model = ss.SemiStructuredRegressor("pca(omics('rna_*'), 9)")
    with pytest.raises(ParameterError, match="at most 4"):
        model.fit(X, y)
    X["rna_3"] = X["rna_2"]
    with pytest.raises(ParameterError, match="at most 3"):
        model.set_params(terms="pca(omics('rna_*'), 4)").fit(X, y)


def test_a_name_that_is_taken_is_refused():
    X, y = genes()
    with pytest.raises(ColumnError, match=r"'pca\(rna_\*\)\[0\]', which the table has"):
        ss.SemiStructuredRegressor(RNA).fit(X.assign(**{"pca(rna_*)[0]": 1.0}), y)
    twice = "pca(omics('rna_*'), 2) + pca(omics('rna_*'), 3)"
    with pytest.raises(FormulaError, match="Two terms make the column"):
        ss.SemiStructuredRegressor(twice).fit(X, y)


@pytest.mark.parametrize(
    "terms",
    [
        "pca(pca(omics('rna_*'), 5), 2)",
        "pca(omics('rna_*', by=age), 2)",
    ],
)
def test_what_has_no_components_is_refused(terms):
    X, y = genes()
    with pytest.raises(ParameterError, match="one modality without by="):
        ss.SemiStructuredRegressor(terms).fit(X, y)


def test_a_column_that_is_not_there_is_named():
    X, y = genes()
    with pytest.raises(ColumnError, match="no column of the table matches 'dna"):
        ss.SemiStructuredRegressor("pca(omics('dna_*'), 2)").fit(X, y)


def test_tabular_takes_features_not_images():
    with pytest.raises(FormulaError, match=r"takes columns, pca\(\) and pretrained"):
        ss.SemiStructuredRegressor("tabular(image(scan))").fit(*genes())
