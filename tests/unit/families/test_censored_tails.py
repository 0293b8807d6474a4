"""Far tails of the standardised distributions, against arbitrary precision."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import torch

from semistruct.families._censored_rows import row_jets
from semistruct.families._censored_standard import EXTREME, LOGISTIC, NORMAL

LAWS = {"extreme": EXTREME, "normal": NORMAL, "logistic": LOGISTIC}
POINTS = [-690.0, -300.0, -45.0, -39.0, -8.0, -0.3, 0.0, 0.4, 6.0, 38.0, 300.0, 690.0]
by_law = pytest.mark.parametrize("law", LAWS)
DIGITS = 40


def log_survival(law, w):
    """log S₀ in arbitrary precision; for tiny F₀ by its series."""
    w = mpmath.mpf(w)
    if law == "extreme":
        return -mpmath.exp(w)
    if law == "logistic":
        return -w - mpmath.log1p(mpmath.exp(-w)) if w > 0 else -log1p_exp(w)
    if w < 0:
        return mpmath.log1p(-mpmath.erfc(-w / mpmath.sqrt(2)) / 2)
    return mpmath.log(mpmath.erfc(w / mpmath.sqrt(2)) / 2)


def log1p_exp(w):
    return mpmath.log1p(mpmath.exp(w))


def log_cdf(law, w):
    if law == "extreme":
        x = mpmath.exp(mpmath.mpf(w))
        small = x < 1
        return mpmath.log(-mpmath.expm1(-x)) if small else mpmath.log1p(-mpmath.exp(-x))
    return log_survival(law, -mpmath.mpf(w))


def log_density(law, w):
    w = mpmath.mpf(w)
    if law == "extreme":
        return w - mpmath.exp(w)
    if law == "logistic":
        return -w - 2 * mpmath.log1p(mpmath.exp(-w))
    return -w * w / 2 - mpmath.log(2 * mpmath.pi) / 2


EXACT = {
    "log_survival": log_survival,
    "log_density": log_density,
    "log_cdf": log_cdf,
}


@by_law
@pytest.mark.parametrize("part", EXACT)
def test_jets_in_far_tails(law, part):
    w = torch.tensor(POINTS, dtype=torch.float64)
    ours = torch.stack(getattr(LAWS[law], part)(w, 3)).numpy()
    assert np.isfinite(ours).all()
    with mpmath.workdps(DIGITS):
        columns = [
            [mpmath.diff(lambda w: EXACT[part](law, w), p, k) for p in POINTS]
            for k in range(4)
        ]
        theirs = np.array([[float(v) for v in column] for column in columns])
    # the third derivative of the normal is a difference of terms of order w² · 1e-16
    size = np.maximum(np.abs(theirs), 1.0)
    assert (np.abs(ours - theirs) / size).max() < 1e-7
    first = np.abs(ours[:2] - theirs[:2]) <= 1e-10 * np.abs(theirs[:2]) + 1e-300
    assert first.all()


def between(law, low, high):
    """Value, and derivatives in (μ, s) at μ = s = 0, of the mass of an interval."""
    symmetric = law != "extreme"

    def value(mu, s):
        a = (mpmath.mpf(low) - mu) * mpmath.exp(-s)
        b = (mpmath.mpf(high) - mu) * mpmath.exp(-s)
        if symmetric and low + high < 0:
            a, b = -b, -a
        top, bottom = log_survival(law, a), log_survival(law, b)
        return top + mpmath.log(-mpmath.expm1(bottom - top))

    with mpmath.workdps(DIGITS):
        orders = [(0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2)]
        orders += [(3, 0), (2, 1), (1, 2), (0, 3)]
        return [
            float(value(0, 0) if o == (0, 0) else mpmath.diff(value, (0, 0), o))
            for o in orders
        ]


@by_law
@pytest.mark.parametrize(
    "ends",
    [
        *[(-320, -300), (-30, -29), (-30, 30), (-2, -1.9), (0.5, 0.6), (3, 5)],
        *[(12, 12.5), (-640, 2), (1, 300), (40, 300)],
    ],
)
def test_intervals_in_far_tails(law, ends):
    y = torch.tensor([[0.0, np.exp(ends[0]), np.exp(ends[1])]], dtype=torch.float64)
    zero = torch.zeros(1, dtype=torch.float64)
    found = row_jets(y, zero, zero, LAWS[law], 3)
    ours = torch.cat([found.value, *found.first, *found.second, *found.third]).numpy()
    theirs = np.array(between(law, *np.log(y[0, 1:].numpy())))
    scale = np.maximum(np.abs(theirs), 1.0)
    error = np.abs(ours - theirs) / scale
    assert error[:3].max() < 1e-9
    assert error[3:].max() < 1e-6


@by_law
def test_every_kind_is_finite_far_out(law):
    """|w| up to 690 for each row; the Hessian of Weibull rows overflows beyond."""
    w = np.array(POINTS)
    t = np.exp(w)
    zero = np.zeros_like(t)
    inside = np.minimum(t * 1.5, np.finfo(float).max)
    rows = np.concatenate(
        [
            np.column_stack([zero, t, t]),
            np.column_stack([zero, t, zero + np.inf]),
            np.column_stack([zero, zero, t]),
            np.column_stack([zero, t, inside]),
            np.column_stack([0.9 * t, t, t]),
        ]
    )
    y = torch.from_numpy(rows)
    zero = torch.zeros(len(y), dtype=torch.float64)
    found = row_jets(y, zero, zero, LAWS[law], 2)
    parts = [found.value, *found.first, *found.second]
    assert all(torch.isfinite(part).all() for part in parts)
