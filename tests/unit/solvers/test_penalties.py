"""Penalties: determinants, nullity, roots, and penalised fits at given smoothing."""

from dataclasses import dataclass

import numpy as np
import pytest

from semistruct.families import Bernoulli, Gaussian
from semistruct.solvers import RankDeficiencyError, fit_glm
from semistruct.solvers._penalty import PenaltySystem


@dataclass(frozen=True)
class Penalty:
    """The attributes that the solvers read of a design's penalty."""

    start: int
    stop: int
    matrix: np.ndarray
    rank: int
    sp: float | None = None
    label: str = "f"


def differences(size, order=2):
    d = np.diff(np.eye(size), order, axis=0)
    return d.T @ d


def tensor(size):
    """Two overlapping penalties of a size × size tensor product."""
    d, eye = differences(size), np.eye(size)
    rank = size * (size - 2)
    first = Penalty(1, 1 + size**2, np.kron(d, eye), rank)
    return first, Penalty(1, 1 + size**2, np.kron(eye, d), rank)


def log_pseudo_determinant(matrix, rank):
    return np.log(np.linalg.eigvalsh(matrix)[::-1][:rank]).sum()


def test_single_and_overlapping_determinants():
    blocks = [*tensor(4), Penalty(17, 23, differences(6), 4)]
    system = PenaltySystem([(0, block) for block in blocks], 25)
    assert system.nullity == 25 - (16 - 4) - 4
    assert [sorted(group) for group in system.groups] == [[0, 1], [2]]
    smoothing = np.array([0.3, 20.0, 7.0])
    found = system.log_det(smoothing)
    total = system.total(smoothing)
    assert found.value == pytest.approx(log_pseudo_determinant(total, 16), rel=1e-12)
    root = system.stacked_root(smoothing)
    np.testing.assert_allclose(root.T @ root, total, atol=1e-12)
    beta = np.random.default_rng(0).normal(size=25)
    at = system.at(smoothing)
    assert at.energy(beta) == pytest.approx(beta @ total @ beta)
    np.testing.assert_allclose(at.pull(beta), total @ beta, atol=1e-12)


@pytest.mark.parametrize("ratio", [1.0, 1e4, 1e10, 1e-10])
def test_derivatives_of_the_determinant(ratio):
    system = PenaltySystem([(0, block) for block in tensor(4)], 17)
    rho = np.array([0.0, np.log(ratio)])
    found = system.log_det(np.exp(rho))
    inverse = np.linalg.pinv(system.total(np.exp(rho)), rcond=1e-14)
    h = 1e-5
    for j in range(2):
        step = np.eye(2)[j] * h
        above, below = (system.log_det(np.exp(rho + s)) for s in (step, -step))
        slope = (above.value - below.value) / (2 * h)
        assert found.gradient[j] == pytest.approx(slope, rel=1e-6, abs=1e-7)
        bend = (above.gradient - below.gradient) / (2 * h)
        expected = np.diag(found.gradient)[j] - found.cross[j]
        np.testing.assert_allclose(bend, expected, atol=1e-5)
    if ratio <= 1e4 and ratio >= 1:
        s = [b.matrix * lam for b, lam in zip(tensor(4), np.exp(rho), strict=True)]
        part = inverse[1:, 1:]
        trace = np.trace(part @ s[0] @ part @ s[1])
        assert found.cross[0, 1] == pytest.approx(trace, rel=1e-6)


def test_determinant_of_extreme_ratios_has_its_limit():
    """log|λ1 S1 + λ2 S2|₊ = rank(S1) ρ1 + rank(S2 | S1) ρ2 + const as λ1 → ∞."""
    system = PenaltySystem([(0, block) for block in tensor(5)], 26)
    values = [
        system.log_det(np.exp([rho, 0.0])).value - 15 * rho for rho in (20.0, 24.0)
    ]
    assert values[0] == pytest.approx(values[1], abs=1e-6)


def test_zero_smoothing_switches_a_penalty_off():
    penalty = Penalty(1, 7, differences(6), 4, sp=0.0)
    system = PenaltySystem([(0, penalty)], 7)
    assert system.nullity == 7
    assert system.log_det(np.zeros(1)).value == 0
    assert system.n_free == 0


def data(n=200, size=6, seed=3):
    rng = np.random.default_rng(seed)
    x = np.sort(rng.uniform(size=n))
    knots = np.linspace(0, 1, size)
    bumps = np.maximum(0, 1 - np.abs(x[:, None] - knots) * (size - 1))
    bumps -= bumps.mean(axis=0)
    design = np.column_stack([np.ones(n), bumps[:, 1:]])
    return design, np.sin(6 * x) + 0.3 * rng.normal(size=n)


def test_given_smoothing_is_honoured():
    x, y = data()
    penalty = Penalty(1, 6, differences(5), 3, sp=2.5)
    fit = fit_glm([x], y, Gaussian(), penalties=[[penalty]])
    total = np.zeros((6, 6))
    total[1:, 1:] = 2.5 * penalty.matrix
    inverse = np.linalg.inv(x.T @ x + total)
    np.testing.assert_allclose(fit.coef, inverse @ x.T @ y, rtol=1e-9)
    np.testing.assert_array_equal(fit.sp, [2.5])
    influence = inverse @ x.T @ x
    np.testing.assert_allclose(fit.edf, np.diag(influence), rtol=1e-9)
    residual = y - x @ fit.coef
    dispersion = residual @ residual / (len(y) - np.trace(influence))
    assert fit.dispersion == pytest.approx(dispersion)
    np.testing.assert_allclose(fit.cov, dispersion * inverse, rtol=1e-8, atol=1e-14)
    sandwich = dispersion * inverse @ x.T @ x @ inverse
    np.testing.assert_allclose(fit.cov_frequentist, sandwich, rtol=1e-8, atol=1e-14)
    np.testing.assert_allclose(fit.information, x.T @ x)
    assert fit.nullity == 3
    assert fit.cov_corrected is None


def test_given_and_estimated_smoothing_together():
    x, y = data()
    both = np.column_stack([x, x[:, 1:] * np.linspace(-1, 1, len(y))[:, None]])
    free = Penalty(1, 6, differences(5), 3)
    ridge = Penalty(6, 11, np.eye(5), 5, sp=0.7)
    fit = fit_glm([both], y, Gaussian(), penalties=[[free, ridge]])
    assert fit.sp[1] == 0.7
    held = [Penalty(1, 6, free.matrix, 3, sp=fit.sp[0]), ridge]
    again = fit_glm([both], y, Gaussian(), penalties=[held])
    np.testing.assert_allclose(again.coef, fit.coef, rtol=1e-8)
    assert again.score == pytest.approx(fit.score, rel=1e-10)
    for factor in (0.9, 1.1):
        held[0] = Penalty(1, 6, free.matrix, 3, sp=factor * fit.sp[0])
        other = fit_glm([both], y, Gaussian(), penalties=[held])
        assert other.score > fit.score


def test_penalised_columns_may_be_redundant():
    x, y = data()
    doubled = np.column_stack([x, x[:, 1:]])
    ridge = Penalty(6, 11, np.eye(5), 5)
    assert fit_glm([doubled], y, Gaussian(), penalties=[[ridge]]).converged
    rough = Penalty(6, 11, differences(5), 3)
    with pytest.raises(RankDeficiencyError) as error:
        fit_glm([doubled], y, Gaussian(), penalties=[[rough]])
    assert error.value.columns == (9, 10)


def test_more_penalised_columns_than_rows():
    rng = np.random.default_rng(0)
    x = np.column_stack([np.ones(30), rng.normal(size=(30, 60))])
    y = x[:, 1:4].sum(axis=1) + rng.normal(size=30)
    ridge = Penalty(1, 61, np.eye(60), 60)
    for family, target in ((Gaussian(), y), (Bernoulli(), (y > 0).astype(float))):
        fit = fit_glm([x], target, family, penalties=[[ridge]])
        assert fit.converged
        assert 1 < fit.edf.sum() < 30


def test_separation_by_an_unpenalised_column_beside_a_smooth():
    x, y = data()
    group = (np.arange(len(y)) < 15).astype(float)
    noisy = np.random.default_rng(1).uniform(size=len(y)) < 0.5 + 0.2 * np.sign(y)
    binary = np.where(group > 0, 1.0, noisy.astype(float))
    design = np.column_stack([x, group])
    smooth = Penalty(1, 6, differences(5), 3)
    with pytest.warns(match="separation"):
        fit = fit_glm([design], binary, Bernoulli(), penalties=[[smooth]])
    assert fit.diverging == (6,)
    assert np.isfinite(fit.cov).all()
