"""Penalised least absolute deviations by a primal-dual interior-point method.

Letters: n rows, p coefficients, r = y − Xβ, S the penalty, c the rows' weights, d the
dual variables, one for each row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semistruct.design import DesignOperator
from semistruct.solvers._linalg import Factor
from semistruct.solvers._penalty import Penalty

FloatArray = NDArray[np.float64]

GAP = 1e-12  # relative duality gap at which the search ends
CERTIFIED = 1e-9  # relative duality gap that is still an optimum
MAX_STEPS = 100
SHORTEN = 0.9995  # of the way to the boundary


@dataclass(frozen=True)
class LeastAbsolute:
    """Where the interior-point method stopped.

    Attributes
    ----------
    beta : ndarray of shape (p,)
    dual : ndarray of shape (n,)
        d in [−c, c]; a subgradient of Σ c|r| in r where the optimum is certified.
    gap : float
        (Σ c|r| − d'r) / (1 + Σ c|r|) ≥ 0; 0 at the optimum.
    n_steps : int
    """

    beta: FloatArray
    dual: FloatArray
    gap: float
    n_steps: int

    @property
    def certified(self) -> bool:
        """Whether the duality gap says that this is the optimum."""
        return self.gap <= CERTIFIED


def least_absolute(
    design: DesignOperator,
    y: FloatArray,
    weight: FloatArray,
    penalty: Penalty,
    beta: FloatArray,
) -> LeastAbsolute:
    """Minimise Σ c_i |y_i − x_i'β| + ½ β'Sβ.

    With r = u − v, u, v ≥ 0, the conditions of an optimum are X'd = Sβ, −c ≤ d ≤ c,
    u (c − d) = 0 and v (c + d) = 0: each step solves one system in X'QX + S with
    positive Q. Predictor and corrector after Mehrotra (1992), doi:10.1137/0802028;
    Portnoy and Koenker (1997), doi:10.1214/ss/1030037960, for quantile regression.

    Parameters
    ----------
    design : DesignOperator of shape (n, p)
        Of full rank together with S.
    y : ndarray of shape (n,)
    weight : ndarray of shape (n,)
        c ≥ 0.
    penalty : Penalty
        S.
    beta : ndarray of shape (p,)
        Start.
    """
    live = weight > 0
    c = np.where(live, weight, 1.0)
    total = 2.0 * max(float(live.sum()), 1.0)
    residual = y - design.dot(beta)
    spread = float(weight @ np.abs(residual)) / float(weight.sum())
    room = spread if spread > 0 else 1.0
    u = np.maximum(residual, 0.0) + room
    v = np.maximum(-residual, 0.0) + room
    s, t = c.copy(), c.copy()  # c − d and c + d, small ones without cancellation
    best = LeastAbsolute(beta, np.zeros(len(y)), np.inf, 0)
    for step in range(MAX_STEPS + 1):
        residual = y - design.dot(beta)
        size = float(weight @ np.abs(residual))
        d = np.where(live, np.where(s < t, c - s, t - c), 0.0)
        tilt = design.transpose_dot(d) - penalty.pull(beta)
        here = LeastAbsolute(beta, d, _gap(size, d, residual, tilt, beta), step)
        if here.gap < best.gap:
            best = here
        product = float((u * s + v * t)[live].sum())
        if best.gap <= GAP or product <= 1e-16 * size or step == MAX_STEPS:
            break
        short = residual - (u - v)
        q = np.where(live, 1.0 / (u / s + v / t), 0.0)
        factor = Factor(design.gram(q) + penalty.matrix)
        us, vt = -u * s, -v * t
        for corrector in (False, True):
            push = short - us / s + vt / t
            move = factor.solve(design.transpose_dot(q * push) + tilt)
            change = q * (push - design.dot(move))
            du = us / s + (u / s) * change
            dv = vt / t - (v / t) * change
            length = _longest(live, (u, du), (v, dv), (s, -change), (t, change))
            if corrector:
                break
            ahead = (u + length * du) * (s - length * change)
            ahead = ahead + (v + length * dv) * (t + length * change)
            centre = (max(float(ahead[live].sum()), 0.0) / product) ** 3
            centre *= product / total
            us = centre - u * s + du * change
            vt = centre - v * t - dv * change
        length = min(1.0, SHORTEN * length)
        beta = beta + length * move
        u, v = u + length * du, v + length * dv
        s, t = s - length * change, t + length * change
    return best


def _gap(
    size: float,
    dual: FloatArray,
    residual: FloatArray,
    tilt: FloatArray,
    beta: FloatArray,
) -> float:
    """Relative gap; what the dual lacks of X'd = Sβ counts too."""
    lost = size - float(dual @ residual) + abs(float(tilt @ beta))
    return abs(lost) / (1.0 + size)


def _longest(live: NDArray[np.bool_], *pairs: tuple[FloatArray, FloatArray]) -> float:
    """Longest step, at most 1 / SHORTEN, that keeps all variables positive."""
    longest = 1.0 / SHORTEN
    for value, change in pairs:
        falling = live & (change < 0)
        if falling.any():
            ratio = -value[falling] / change[falling]
            longest = min(longest, float(ratio.min()))
    return longest
