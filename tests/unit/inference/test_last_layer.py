from __future__ import annotations

import numpy as np
import pytest
import torch

from semistruct.design import Penalty
from semistruct.exceptions import DataError, InferenceWarning
from semistruct.families import Gaussian, get_family
from semistruct.fusion import apply_projection, fit_projection
from semistruct.inference import (
    FitSummary,
    compare_fits,
    projected_sandwich,
    ridge_block,
    sandwich,
    split_last_layer,
)
from semistruct.solvers import fit_cox, fit_glm


def data(n=400, q=8, seed=0, signal=1.0):
    rng = np.random.default_rng(seed)
    X = np.column_stack([np.ones(n), rng.normal(size=(n, 2))])
    U = rng.normal(size=(n, q)) * 10.0 ** np.arange(-2, q - 2)  # any units
    y = X @ [1.0, 0.5, -1.0] + signal * (U[:, 0] * 100 - U[:, 1] * 10)
    return X, y + rng.normal(size=n), U


def joint(X, y, U, family=None):
    block = ridge_block(U, "image(scan)", X.shape[1])
    matrix = np.hstack([X, block.columns])
    fit = fit_glm([matrix], y, family or Gaussian(), penalties=[[block.penalty]])
    sizes = [[block.columns.shape[1]]]
    return block, fit, split_last_layer(fit, [X.shape[1]], sizes)


def test_the_block_is_ridge_regression_at_the_reml_penalty() -> None:
    X, y, U = data()
    block, fit, found = joint(X, y, U)
    Z = U / U.std(axis=0)
    whole = np.hstack([X, Z])
    S = np.diag([0.0] * 3 + [fit.sp[0]] * 8)
    A = np.linalg.inv(whole.T @ whole + S)
    beta = A @ whole.T @ y
    np.testing.assert_allclose(found.structured.coef, beta[:3], rtol=1e-7)
    np.testing.assert_allclose(block.weights(found.weights[0]), beta[3:] / U.std(0))
    influence = A @ whole.T @ whole
    np.testing.assert_allclose(found.edf[0], np.trace(influence[3:, 3:]), rtol=1e-7)
    phi = found.structured.dispersion
    np.testing.assert_allclose(found.structured.cov, phi * A[:3, :3], rtol=1e-7)
    np.testing.assert_allclose(found.structured.edf, np.diag(influence)[:3], rtol=1e-7)
    own = found.structured
    np.testing.assert_allclose(
        own.cov @ own.information / phi, influence[:3, :3], atol=2e-3
    )


def test_without_a_signal_the_block_has_hardly_any_degrees_of_freedom() -> None:
    nothing = np.mean([joint(*data(seed=s, signal=0.0))[2].edf[0] for s in range(8)])
    something = joint(*data())[2].edf[0]
    assert nothing < 2.0 < 3.0 < something <= 8.0


def test_aic_tells_models_with_and_without_the_deep_term() -> None:
    for signal, best in ((1.0, "deep"), (0.0, "table")):
        X, y, U = data(seed=3, signal=signal)
        plain = fit_glm([X], y, Gaussian())
        fit, found = joint(X, y, U)[1:]
        total = found.structured.edf.sum() + found.edf.sum() + 1
        assert total == pytest.approx(fit.edf.sum() + 1)
        table = compare_fits(
            [
                FitSummary("table", plain.loglik, 4, 4, 400),
                FitSummary("deep", fit.loglik, total, total, 400),
            ]
        )
        delta = table["delta AIC"]
        assert delta[best] == 0 or delta.max() < 0.5


def test_several_predictors_and_blocks_are_told_apart() -> None:
    X, y, U = data()
    family = Gaussian().with_formulas(("loc", "scale"))
    one = ridge_block(U[:, :3], "a", 3)
    two = ridge_block(U[:, 3:], "b", 6)
    designs = [np.hstack([X, one.columns, two.columns]), X[:, :1]]
    fit = fit_glm(designs, y, family, penalties=[[one.penalty, two.penalty], []])
    found = split_last_layer(fit, [3, 1], [[3, 5], []])
    assert found.structured.slices == (slice(0, 3), slice(3, 4))
    np.testing.assert_array_equal(found.structured.coef, fit.coef[[0, 1, 2, 11]])
    assert [len(w) for w in found.weights] == [3, 5]
    assert found.edf.shape == (2,)
    total = found.structured.edf.sum() + found.edf.sum()
    assert total == pytest.approx(fit.edf.sum())


def test_cox() -> None:
    X, y, U = data()
    time, event = np.exp(-y / 2), np.arange(400) % 4 > 0
    block = ridge_block(U, "image(scan)", 2)
    matrix = np.hstack([X[:, 1:], block.columns])
    fit = fit_cox(matrix, time, event, penalties=[block.penalty])
    found = split_last_layer(fit, [2], [[8]])
    assert 0 < found.edf[0] < 8
    assert found.structured.coef.shape == (2,)
    assert np.isfinite(found.structured.cov).all()


def test_constant_features_are_left_out_and_warned_of() -> None:
    X, y, U = data()
    U[:, 1] = 3.0
    block, _, found = joint(X, y, U)
    assert block.kept.tolist() == [True, False] + [True] * 6
    weights = block.weights(found.weights[0])
    assert weights[1] == 0
    assert weights.shape == (8,)
    with pytest.warns(InferenceWarning, match=r"image\(scan\) are constant"):
        assert ridge_block(np.ones((5, 2)), "image(scan)", 0).columns.shape == (5, 0)


def test_bad_input_is_named() -> None:
    with pytest.raises(DataError, match=r"latents of image\(scan\) must be a matrix"):
        ridge_block([[np.nan]], "image(scan)", 0)
    X, y, U = data()
    with pytest.raises(DataError, match="are not the 11 columns of the fit"):
        split_last_layer(joint(X, y, U)[1], [3], [[7]])


# -- the covariance beside a projected deep contribution ---------------------------


def test_gaussian_it_is_the_sandwich_of_the_structured_model() -> None:
    X, y, U = data()
    A = fit_projection(X, U)
    d = apply_projection(U, X, A) @ np.array([100.0, -10, 0, 0, 0, 0, 0, 0])
    beside = fit_glm([X], y, Gaussian(), offset=d)
    alone = fit_glm([X], y, Gaussian())
    bread = np.linalg.inv(X.T @ X)
    found = projected_sandwich(
        X * (y - X @ beside.coef - d)[:, None], X * d[:, None], bread
    )
    expected = sandwich(X * (y - X @ alone.coef)[:, None], bread)
    np.testing.assert_allclose(found, expected, rtol=1e-8)
    assert found[1, 1] > 2 * beside.cov[1, 1]  # and not what d took out of the noise


def test_poisson_it_is_what_many_samples_show() -> None:
    """The standard deviation over data sets, which the naive errors miss."""
    family, found = get_family("poisson"), []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        X = np.column_stack([np.ones(150), rng.normal(size=150)])
        d = rng.normal(0, 0.8, 150)
        y = rng.poisson(np.exp(X @ [0.5, 0.3] + d)).astype(float)
        warm = fit_glm([X], y, family)
        w = warm.working_weight[:, 0]
        rest = d - X @ fit_projection(X, d[:, None], w)[:, 0]
        fit = fit_glm([X], y, family, offset=rest)
        eta = torch.as_tensor(fit.linear_predictor)
        slope = family.derivatives(torch.as_tensor(y), eta)[1].numpy()
        gram = np.linalg.inv((X.T * w) @ X)
        move = np.linalg.inv(fit.cov) @ gram  # X'WX of the refit over that of the warm
        cov = projected_sandwich(X * slope, (X * (w * rest)[:, None]) @ move.T, fit.cov)
        found.append((fit.coef[1], np.sqrt(cov[1, 1]), np.sqrt(fit.cov[1, 1])))
    coef, robust, naive = np.array(found).T
    assert abs(np.median(robust) / coef.std() - 1) < 0.2
    assert np.median(naive) / coef.std() < 0.75


def test_shapes_of_scores_are_checked() -> None:
    with pytest.raises(DataError, match="scores and projected must have one shape"):
        projected_sandwich(np.zeros((3, 1)), np.zeros((3, 2)), np.eye(1))
    assert isinstance(ridge_block(np.eye(3), "u", 0).penalty, Penalty)
