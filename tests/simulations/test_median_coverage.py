"""Standard errors of median regression cover, with Laplace and with other errors."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import semistruct as ss

TRUTH = np.array([1.0, 0.5, -0.5])


def coverage(errors, n: int, replicates: int, seed: int) -> np.ndarray:
    """Share of 95% intervals that hold the truth: the model's, and robust ones."""
    rng = np.random.default_rng(seed)
    inside = np.zeros((2, 3))
    for _ in range(replicates):
        table = pd.DataFrame({"x": rng.normal(size=n), "z": rng.uniform(size=n)})
        y = TRUTH[0] + table.to_numpy() @ TRUTH[1:] + errors(rng, n)
        model = ss.GAM("x + z", family="laplace").fit(table, y)
        robust = ss.analysis.robust_covariance(model, table, y)["std err"]
        own = np.sqrt(np.diag(model.exact_.cov))
        for row, error in enumerate((own, robust.to_numpy())):
            inside[row] += np.abs(model.exact_.coef - TRUTH) < 1.96 * error
    return inside / replicates


@pytest.mark.slow
def test_coefficients_cover():
    laplace = coverage(lambda rng, n: rng.laplace(size=n), 1000, 600, 1)
    gaussian = coverage(lambda rng, n: rng.normal(size=n), 1000, 600, 2)
    print(
        f"\ncoverage of 95% intervals, n = 1000: laplace errors {laplace[0]}, "
        f"robust {laplace[1]}; gaussian errors {gaussian[0]}, robust {gaussian[1]}"
    )
    assert ((laplace[0] > 0.91) & (laplace[0] < 0.975)).all()
    assert ((laplace[1] > 0.91) & (laplace[1] < 0.985)).all()
    # the density at the median is not Laplace's: only the robust ones hold
    assert (gaussian[0] < 0.85).all()
    assert ((gaussian[1] > 0.91) & (gaussian[1] < 0.975)).all()


@pytest.mark.slow
def test_bands_of_a_smooth_cover():
    rng = np.random.default_rng(3)
    inside, edf = [], []
    for _ in range(150):
        table = pd.DataFrame({"x": rng.uniform(size=400)})
        truth = np.sin(6 * table["x"].to_numpy())
        y = truth + 0.5 * rng.laplace(size=400)
        model = ss.GAM("s(x)", family="laplace").fit(table, y)
        matrix = model.predictor_.designs[0].matrix(table)
        se = np.sqrt(np.einsum("ij,jk,ik->i", matrix, model.exact_.cov, matrix))
        fitted = matrix @ model.exact_.coef
        inside.append(np.mean(np.abs(fitted - truth) < 1.96 * se))
        edf.append(model.exact_.edf.sum())
    print(f"\ncoverage across x {np.mean(inside):.3f}, mean edf {np.mean(edf):.2f}")
    assert 0.90 < np.mean(inside) < 0.985
    assert 4.0 < np.mean(edf) < 9.0
