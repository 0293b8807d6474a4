"""Attribution of deep terms: exact where it is known, complete, and as predicted."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import semistruct as ss
from semistruct.attribution import Attribution, _methods, explain
from semistruct.attribution._module import Contribution
from semistruct.attribution._predictor import choose_term
from semistruct.exceptions import (
    ColumnError,
    DataError,
    DependencyError,
    NotFittedError,
    ParameterError,
)

GENES = [f"g{j}" for j in range(12)]
QUICK = ss.Training(max_epochs=3, learning_rate=5e-3)


class Flat(nn.Module):
    """A linear encoder of anything."""

    def __init__(self, size, q=3):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.layer = nn.Linear(size, q)

    def forward(self, x):
        return self.layer(x.flatten(1))


class Blocked(nn.Module):
    """An encoder through which no gradient comes."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x):
        with torch.no_grad():
            return self.scale * x[:, :, :, :4].sum(dim=(1, 2, 3))[:, None]


def genes(n=300, seed=0):
    """Two genes of twelve say something; ``half`` multiplies, ``age`` is g0."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.normal(5.0, 2.0, size=(n, 12)), columns=GENES)
    X["age"] = X["g0"] + rng.normal(size=n)
    X["half"] = rng.uniform(0.5, 1.5, n)
    y = 0.5 * X["age"] + 1.5 * (X["g3"] - 5) - (X["g7"] - 5) + rng.normal(size=n) * 0.3
    return X, y.to_numpy()


def digits(n=120):
    return ss.datasets.make_regression_digits(n, random_state=7)


@pytest.fixture(scope="module")
def scans():
    X, y = digits()
    model = ss.SemiStructuredRegressor(
        "age + s(bmi, k=6) + image(scan)", training=QUICK, random_state=0
    ).fit(X, y)
    return model, X, y


@pytest.fixture(scope="module")
def linear():
    """An omics term that is multiplied, by a linear encoder; some rows lack it."""
    X, y = genes()
    X.loc[[2, 5], GENES] = np.nan
    model = ss.SemiStructuredRegressor(
        "age + omics('g*', by=half)",
        encoders={"g*": Flat(12)},
        training=QUICK,
        random_state=0,
    ).fit(X, y)
    return model, X


# -- the contribution is that of the model --------------------------------------------


@pytest.mark.parametrize("by", ["", ", by=bmi"])
def test_the_module_is_the_contribution_of_other_images_of_the_same_rows(by):
    X, y = digits()
    model = ss.SemiStructuredRegressor(
        f"age + s(bmi, k=6) + image(scan{by})", training=QUICK, random_state=0
    ).fit(X, y)
    part = model.predictor_.parts["scan"]
    own = X[:20]
    module = Contribution.of(model, choose_term(model, "scan", "here"), own)
    other = own.assign(scan=X["scan"][40:60].array)  # the table stays
    inputs, _ = part.modality.read(other)
    expected = model.predict_terms(other)[part.term.label]
    found = module(inputs, torch.arange(20))[:, 0].detach().numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.std(expected - model.predict_terms(own)[part.term.label]) > 1e-3


def test_an_image_that_encodes_a_covariate_is_explained_as_predicted():
    """Without projection the term would hold the effect of the age."""
    X, _ = digits(300)
    rng = np.random.default_rng(0)
    age = ((X["age"] - X["age"].mean()) / X["age"].std()).to_numpy()
    own = rng.normal(size=300)
    images = rng.normal(scale=0.3, size=(300, 1, 8, 8)).astype(np.float32)
    images[:, 0, 4, 4] += 0.7 * age + own
    X = X.assign(scan=ss.TensorArray(images))
    y = 2.0 * age + own + rng.normal(size=300) * 0.1
    model = ss.SemiStructuredRegressor(
        "age + image(scan)",
        encoders={"scan": Flat(64)},
        training=ss.Training(max_epochs=30, learning_rate=0.01),
        random_state=0,
    ).fit(X, y)
    found = explain(model, X)
    assert np.abs(found.maps()[:, 4, 4]).mean() == found.mean_abs_map().max()
    term = model.predict_terms(X)["image(scan)"].to_numpy()
    total = found.values.sum(axis=(1, 2, 3))
    np.testing.assert_allclose(found.baseline + total, term, atol=1e-5)
    # the pixels say the age, which the constant of each row takes away
    assert np.corrcoef(age, total)[0, 1] > 0.3
    assert np.corrcoef(age, found.baseline)[0, 1] < -0.99
    assert abs(np.corrcoef(age, term)[0, 1]) < 1e-6
    assert np.corrcoef(own, term)[0, 1] > 0.85
    latents, _ = model.predictor_.latents(X)["scan"]
    raw = latents @ model.predictor_.parts["scan"].weight[:, 0]
    np.testing.assert_allclose(total - total.mean(), raw - raw.mean(), atol=1e-5)


# -- a linear encoder: weight times distance ------------------------------------------


def standardised(X, rows):
    """Rows in units of the rows of fit."""
    return (rows[GENES] - X[GENES].mean()) / X[GENES].std(ddof=0)


def literal(model, X, rows, reference):
    """weight·by·(x − reference) in standardised units, row by row."""
    part = model.predictor_.parts["g*"]
    layer = model.predictor_.network.encoder("g*").layer
    slope = layer.weight.detach().double().numpy().T @ part.weight[:-1, 0]
    out = np.zeros((len(rows), 12))
    for i, row in enumerate(standardised(X, rows).to_numpy()):
        if not np.isnan(row).any():
            out[i] = slope * (row - reference) * rows["half"].iloc[i]
    return out


@pytest.mark.parametrize("method", ["integrated_gradients", "occlusion"])
def test_a_linear_encoder_is_explained_exactly(linear, method):
    model, X = linear
    found = explain(model, X[:9], method=method)
    np.testing.assert_allclose(found.values, literal(model, X, X[:9], 0.0), atol=2e-6)
    np.testing.assert_allclose(found.delta, 0.0, atol=1e-5)
    assert not found.values[[2, 5]].any()  # rows without the modality
    assert found.outcome[2] == found.baseline[2] == 0.0


@pytest.mark.parametrize(
    "method", ["integrated_gradients", "occlusion", "gradient_shap"]
)
def test_a_baseline_is_the_mean_of_its_rows(linear, method):
    model, X = linear
    rows = X[100:108]
    mean = standardised(X, rows).mean().to_numpy()
    # as many draws as rows: each is drawn once
    found = explain(model, X[:9], method=method, baseline=rows, n_steps=8)
    expected = literal(model, X, X[:9], mean)
    np.testing.assert_allclose(found.values, expected, atol=3e-6)
    np.testing.assert_allclose(found.delta, 0.0, atol=1e-5)


def test_squares_share_what_they_lose_evenly():
    X, y = digits()
    model = ss.SemiStructuredRegressor(
        "age + image(scan)",
        encoders={"scan": Flat(64)},
        training=QUICK,
        random_state=0,
    ).fit(X, y)
    fine = explain(model, X[:3], method="occlusion").maps()
    coarse = explain(model, X[:3], method="occlusion", window=3).maps()
    for top, left in ((0, 0), (3, 6), (6, 6)):  # those at the edge are smaller
        square = np.s_[:, top : top + 3, left : left + 3]
        mean = np.broadcast_to(
            fine[square].mean(axis=(1, 2), keepdims=True), fine[square].shape
        )
        np.testing.assert_allclose(coarse[square], mean, atol=1e-6)


# -- completeness ---------------------------------------------------------------------


def test_integrated_gradients_are_complete(scans):
    model, X, _ = scans
    found = explain(model, X[:10], baseline=X)
    term = model.predict_terms(X[:10])["image(scan)"]
    np.testing.assert_allclose(found.outcome, term, atol=1e-5)
    scale = np.abs(found.outcome - found.baseline).max()
    assert np.abs(found.delta).max() < 0.02 * scale
    assert scale > 1e-2


def test_too_few_steps_are_told_unless_they_are_refined(monkeypatch):
    X, y = digits()
    model = ss.SemiStructuredRegressor(
        "age + image(scan)",
        training=ss.Training(max_epochs=40, learning_rate=0.02),
        random_state=0,
    ).fit(X, y)
    monkeypatch.setattr(_methods, "_HALVINGS", 0)
    with pytest.warns(UserWarning, match=r"row \d.*n_steps=2"):
        rough = explain(model, X[:5], n_steps=2)
    monkeypatch.undo()
    fine = explain(model, X[:5], n_steps=2)  # halved where it is needed
    assert np.abs(fine.delta).max() < 0.1 * np.abs(rough.delta).max()


def test_gradient_shap_is_complete_on_average_and_repeatable(scans):
    model, X, _ = scans
    options = {"method": "gradient_shap", "baseline": X[50:90], "n_steps": 400}
    found = explain(model, X[:4], **options)
    again = explain(model, X[:4], **options)
    np.testing.assert_array_equal(found.values, again.values)
    parts = explain(model, X[:4], **options, batch_size=1)
    np.testing.assert_allclose(found.values, parts.values, atol=1e-6)
    other = explain(model, X[:4], **options, random_state=1)
    assert not np.array_equal(found.values, other.values)
    scale = np.abs(found.outcome - found.baseline).max()
    assert np.abs(found.delta).max() < 0.1 * scale


def test_random_states_and_modes_are_left_alone(scans):
    model, X, _ = scans
    network = model.predictor_.network
    network.train()
    before = torch.get_rng_state()
    numbers = np.random.get_state()[1]  # noqa: NPY002
    for method in ("gradient_shap", "integrated_gradients"):
        explain(model, X[:2], method=method)
    assert all(part.training for part in network.modules())
    network.eval()
    torch.testing.assert_close(torch.get_rng_state(), before)
    now = np.random.get_state()[1]  # noqa: NPY002
    np.testing.assert_array_equal(now, numbers)
    assert all(p.grad is None for p in network.parameters())


def test_rows_do_not_depend_on_the_rows_beside_them(scans):
    model, X, _ = scans
    for method in ("integrated_gradients", "occlusion", "grad_cam"):
        together = explain(model, X[:6], method=method).values
        alone = explain(model, X[3:4], method=method, batch_size=1).values
        np.testing.assert_allclose(together[3:4], alone, atol=1e-6)


# -- results --------------------------------------------------------------------------


def test_groups_are_summed(linear):
    model, X = linear
    found = explain(model, X[:9])
    table = found.to_frame({"one": ["g0", "g3"], "two": ["g3", "g7"]})
    np.testing.assert_allclose(table["two"], found.values[:, 3] + found.values[:, 7])
    means = found.mean_abs({"one": ["g0", "g3"]})
    assert means["one"] == pytest.approx(table["one"].abs().mean())
    assert list(found.to_frame().columns) == GENES
    assert list(found.mean_abs().sort_values(ascending=False)) == list(found.mean_abs())
    with pytest.raises(ColumnError, match=r"'path'.*'gg3'.*'g3'"):
        found.to_frame({"path": ["gg3"]})
    with pytest.raises(DataError, match="to_frame"):
        found.maps()


def test_images_give_maps(scans):
    model, X, _ = scans
    found = explain(model, X[:3])
    assert isinstance(found, Attribution)
    np.testing.assert_allclose(found.maps(), found.values.sum(axis=1))
    np.testing.assert_allclose(found.mean_abs_map(), np.abs(found.maps()).mean(axis=0))
    assert "image(scan), 3 rows of 1×8×8" in repr(found)
    with pytest.raises(DataError, match="maps"):
        found.to_frame()


# -- errors ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "gradcam"}, "grad_cam"),
        ({"term": "image(scam)"}, "image\\(scan\\)"),
        ({"parameter": "scale"}, "parameter"),
        ({"output": "hazard"}, "output"),
        ({"time": 3.0}, "output='log_cumulative_hazard'"),
        ({"output": "survival"}, "time"),
        ({"output": "survival", "time": 3.0}, "SemiStructuredRegressor"),
        ({"baseline": "zero"}, "DataFrame"),
        ({"n_steps": 1}, "n_steps"),
        ({"window": 0}, "window"),
        ({"batch_size": 0}, "batch_size"),
        ({"method": "grad_cam", "layer": "nothing"}, "maps"),
        ({"method": "grad_cam", "layer": "head"}, "B, F, h, w"),
    ],
)
def test_wrong_options_are_named(scans, options, message):
    model, X, _ = scans
    with pytest.raises(ParameterError, match=message):
        explain(model, X[:2], **options)


def test_wrong_models_and_tables_are_named(scans, linear):
    model, X, y = scans
    with pytest.raises(ColumnError, match="'scan'"):
        explain(model, X[:2].drop(columns="scan"))
    with pytest.raises(ParameterError, match="Grad-CAM needs one image"):
        explain(linear[0], linear[1][:2], method="grad_cam")
    with pytest.raises(DataError, match="missing in all of baseline"):
        explain(*linear, baseline=linear[1].loc[[2, 5]])
    with pytest.raises(NotFittedError):
        explain(ss.SemiStructuredRegressor("age"), X)
    plain = ss.SemiStructuredRegressor("age").fit(X, y)
    with pytest.raises(ParameterError, match="has none"):
        explain(plain, X)


def test_without_gradients_there_is_occlusion():
    rng = np.random.default_rng(0)
    images = rng.normal(size=(150, 1, 8, 8)).astype(np.float32)
    X = pd.DataFrame({"age": rng.normal(size=150)})
    X["scan"] = ss.TensorArray(images)
    y = X["age"] + images[:, 0, :, :4].sum(axis=(1, 2)) + rng.normal(size=150)
    model = ss.SemiStructuredRegressor(
        "age + image(scan)",
        encoders={"scan": Blocked()},
        training=ss.Training(max_epochs=20, learning_rate=0.02),
        random_state=0,
    ).fit(X, y)
    for method in ("integrated_gradients", "gradient_shap", "grad_cam"):
        with pytest.raises(ParameterError, match="'occlusion'"):
            explain(model, X[:2], method=method, layer="")
    maps = explain(model, X[:2], method="occlusion").maps()
    assert np.abs(maps[:, :, :4]).min() > 0
    assert not maps[:, :, 4:].any()


def test_captum_is_named_where_it_is_missing(scans, monkeypatch):
    model, X, _ = scans
    monkeypatch.setitem(sys.modules, "captum", None)
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(DependencyError, match=r"semistruct\[attribution\]"):
        explain(model, X[:2])
