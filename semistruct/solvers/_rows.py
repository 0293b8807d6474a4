"""The likelihood of independent rows of a family.

Letters: n rows, K linear predictors, p coefficients of all predictors together, S
shapes, φ the dispersion.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semistruct.design import DesignOperator
from semistruct.families import Family
from semistruct.solvers._likelihood import Likelihood, Profile, ShapeDerivatives
from semistruct.solvers._shapes import mixed_rows, total_derivatives, trace_slope

FloatArray = NDArray[np.float64]

SHAPE_RANGE = 16.0  # how far shapes go from their start, on scales without a unit
UNITLESS = ("log", "logit", "probit", "cloglog", "logb")


class RowLikelihood(Likelihood):
    """Independent rows of a family with K linear predictors.

    Coefficients see the family at φ = 1: φ scales their log-likelihood and moves
    nothing. A precision divides φ; without a dispersion it multiplies ℓ.

    Parameters
    ----------
    designs : sequence of K DesignOperator of shape (n, p_k)
    y : ndarray of shape (n,) or (n, 2)
    family : Family
    frequency : ndarray of shape (n,) or None
        A row of frequency 2 counts as two rows.
    offset : ndarray of shape (n, K)
    precision : ndarray of shape (n,) or None
    """

    def __init__(
        self,
        designs: Sequence[DesignOperator],
        y: FloatArray,
        family: Family,
        frequency: FloatArray | None,
        offset: FloatArray,
        precision: FloatArray | None = None,
    ) -> None:
        self.designs = list(designs)
        self.frequency = frequency
        self.precision = precision
        both = [each for each in (frequency, precision) if each is not None]
        self.weight = None if not both else np.multiply.reduce(both)
        self.offset = offset
        self.y = y
        self._target = torch.from_numpy(np.ascontiguousarray(y))
        sizes = [design.shape[1] for design in self.designs]
        ends = np.cumsum(sizes)
        self.slices = tuple(
            slice(int(end - size), int(end))
            for end, size in zip(ends, sizes, strict=True)
        )
        self.n_coefficients = int(sum(sizes))
        self.n_effective = float(len(y) if frequency is None else frequency.sum())
        self.has_dispersion = family.has_dispersion
        self.shape_names = family.shape_names
        self._set_family(family)
        self._base = np.ones(len(y)) if self.weight is None else self.weight
        self._guess = family.initial_dispersion(y, self._base)
        self._log_dispersion = float(np.log(max(self._guess, 1e-300)))
        self._eta: tuple[FloatArray, FloatArray] | None = None
        self._quadratic: tuple[FloatArray, FloatArray] | None = None

    def _set_family(self, family: Family) -> None:
        self.family = family
        self.shapes = family.shapes
        self._saturated: float | None = None

    def with_shapes(self, values: FloatArray) -> Self:
        """Return the likelihood at other shapes; rows are shared."""
        if np.array_equal(values, self.shapes):
            return self
        other = copy.copy(self)
        other._set_family(self.family.with_shapes(values))
        return other

    def initial_shapes(self) -> FloatArray:
        """Rough estimates of the shapes, (S,)."""
        return self.family.initial_shapes(self.y, self._base)

    def shape_limits(self) -> FloatArray:
        """Start ± 16 on scales without a unit, anything otherwise."""
        links = self.family.links
        free = [links[name].name not in UNITLESS for name in self.shape_names]
        room = np.where(np.array(free, dtype=bool), np.inf, SHAPE_RANGE)
        return np.stack([self.shapes - room, self.shapes + room])

    def predictor(self, beta: FloatArray) -> FloatArray:
        """η (n, K) with the offset; the last one is remembered."""
        if self._eta is not None and np.array_equal(self._eta[0], beta):
            return self._eta[1]
        eta = self.offset + self._along(beta)
        self._eta = (beta.copy(), eta)
        return eta

    def start(self) -> FloatArray:
        """Coefficients whose predictors are near the covariate-free ones."""
        levels = self.family.initial(self.y, self._base)
        beta = np.zeros(self.n_coefficients)
        for k, (design, part) in enumerate(zip(self.designs, self.slices, strict=True)):
            goal = levels[k] - self.offset[:, k]
            beta[part] = _towards(design, goal, self.weight)
        return beta

    def value(self, beta: FloatArray) -> float:
        """Log-likelihood Σ w ℓ at φ = 1."""
        eta = torch.from_numpy(self.predictor(beta))
        rows = self.family.log_density(self._target, eta).numpy()
        return float(rows.sum() if self.weight is None else self.weight @ rows)

    def deviance(self, value: float) -> float:
        """2 (saturated − ℓ) at φ = 1."""
        if self._saturated is None:
            rows = self.family.saturated(self._target).numpy()
            whole = rows.sum() if self.weight is None else self.weight @ rows
            self._saturated = float(whole)
        return 2.0 * (self._saturated - value)

    def unit(self, value: float) -> float:
        """√(deviance / n) with a dispersion, else one."""
        if not self.has_dispersion:
            return 1.0
        mean = self.deviance(value) / self.n_effective
        return float(np.sqrt(max(mean, 1e-12 * self._guess, 1e-300)))

    def best_log_likelihood(self, beta: FloatArray) -> float:
        """ℓ(β, φ) at the φ that maximises it."""
        value = self.value(beta)
        return -self.profile(beta, value, 0.0, 0).objective

    def profile(
        self, beta: FloatArray, value: float, energy: float, nullity: int
    ) -> Profile:
        """Newton's method in log φ; without a dispersion see :class:`Likelihood`."""
        if not self.has_dispersion:
            return super().profile(beta, value, energy, nullity)
        middle = float(np.log(max(self._guess, 1e-300)))
        point = self._log_dispersion
        best, step = np.inf, 0.0
        for _ in range(100):
            fitted, first, second = self._in_constants(beta, np.array([point]), 0)
            bend = 0.5 * energy * np.exp(-point)
            level = 0.5 * nullity * (np.log(2.0 * np.pi) + point)
            objective = bend - fitted - level
            if not objective <= best + 1e-10 * (1.0 + abs(best)):
                step *= 0.5
                point -= step  # back half of the way
                continue
            best = objective
            slope = float(-bend - first[0] - 0.5 * nullity)
            curvature = max(float(bend - second[0, 0]), 1e-8 * self.n_effective)
            step = float(np.clip(-slope / curvature, -2.0, 2.0))
            if abs(step) <= 1e-11 * (1.0 + abs(point)):
                break
            moved = np.clip(point + step, middle - 60.0, middle + 60.0)
            step, point = float(moved - point), float(moved)
            if step == 0.0:
                break
        self._log_dispersion = point
        return Profile(float(np.exp(point)), objective, curvature)

    def derivatives(self, beta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Gradient (p,) and negative Hessian (p, p)."""
        slope, curvature = self.row_derivatives(beta)
        return self.pulled(slope), self.crossed(curvature)

    def crossed(self, curvature: FloatArray) -> FloatArray:
        """Σ_i of x_ia W_i,ab x_ib' (p, p), for weights (n, K, K)."""
        information = np.empty((self.n_coefficients, self.n_coefficients))
        for a, left in enumerate(self.designs):
            rows = self.slices[a]
            information[rows, rows] = left.gram(curvature[:, a, a])
            for b in range(a):
                columns, right = self.slices[b], self.designs[b]
                weight = curvature[:, a, b]
                if not weight.any():
                    cross = np.zeros((left.shape[1], right.shape[1]))
                elif left is right:
                    cross = left.gram(weight)
                else:
                    cross = left.cross(weight, right)
                information[rows, columns] = cross
                information[columns, rows] = cross.T
        return information

    def row_derivatives(self, beta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """∂ℓ/∂η (n, K) and −∂²ℓ/∂η² (n, K, K), times the weights."""
        eta = torch.from_numpy(self.predictor(beta))
        _, slope, hessian = self.family.derivatives(self._target, eta)
        first, second = slope.numpy(), -hessian.numpy()
        if self.weight is not None:
            first = first * self.weight[:, None]
            second = second * self.weight[:, None, None]
        return first, second

    def trace_gradient(self, beta: FloatArray, inner: FloatArray) -> FloatArray:
        """See :class:`Likelihood`: Σ_i h_i · ∂W_i/∂η x_i, with h_i = x_i'Mx_i."""
        eta = torch.from_numpy(self.predictor(beta))
        direction = torch.from_numpy(self._row_quadratic(inner))
        slope = -self.family.third(self._target, eta, direction).numpy()
        if self.weight is not None:
            slope = slope * self.weight[:, None]
        return self.pulled(slope)

    def shape_derivatives(
        self, beta: FloatArray, dispersion: float, inner: FloatArray
    ) -> ShapeDerivatives:
        """See :class:`Likelihood`; by autograd."""
        size = len(self.shapes)
        if not size:
            return super().shape_derivatives(beta, dispersion, inner)
        constants = np.append(self.shapes, np.log(dispersion))
        _, first, second = self._in_constants(beta, constants, size)
        eta = torch.from_numpy(self.predictor(beta))
        shapes = torch.from_numpy(self.shapes)
        mixed = mixed_rows(self._density, eta, shapes).numpy()  # (n, K, S)
        direction = self._row_quadratic(inner)
        if self.weight is not None:
            mixed = mixed * self.weight[:, None, None]
            direction = direction * self.weight[:, None, None]
        trace = trace_slope(self._density, eta, shapes, torch.from_numpy(direction))
        pulled = [self.pulled(mixed[:, :, j]) for j in range(size)]
        return ShapeDerivatives(
            first[:size],
            second[:size, :size],
            second[:size, size],
            np.stack(pulled, axis=1),
            -trace.numpy(),
        )

    def reach(self, direction: FloatArray) -> float:
        """Largest |x_i'd| over rows and predictors."""
        return float(np.abs(self._along(direction)).max(initial=0.0))

    def recedes(self, beta: FloatArray, direction: FloatArray) -> bool:
        """Whether no row's log-density falls along the direction, far out.

        Families that cannot tell are tried at some distances.
        """
        along = self._along(direction)
        margin = self.family.recession(self._target, torch.from_numpy(along))
        if margin is None:
            unit = direction / np.abs(along).max(initial=1e-300)
            level = self.value(beta) - 1e-6
            return all(self.value(beta + t * unit) >= level for t in (1, 4, 16))
        rows = margin.numpy()
        if self.weight is not None:
            rows = rows[self.weight > 0]
        return bool((rows >= -1e-5 * np.abs(along).max(initial=0.0)).all())

    def _density(self, eta: Tensor, shapes: Tensor) -> Tensor:
        """Rows' ℓ at φ = 1."""
        return self.family.log_density_shapes(self._target, eta, shapes)

    def _in_constants(
        self, beta: FloatArray, constants: FloatArray, size: int
    ) -> tuple[float, FloatArray, FloatArray]:
        """ℓ with derivatives in ``size`` shapes and log φ, at precisions as given."""
        eta = torch.from_numpy(self.predictor(beta))
        known = torch.from_numpy(self.shapes)
        weight = self.weight if not self.has_dispersion else self.frequency
        scale = torch.ones(())
        if self.has_dispersion and self.precision is not None:
            scale = torch.from_numpy(1.0 / self.precision)

        def density(point: Tensor) -> Tensor:
            shapes = point[:size] if size else known
            phi: Tensor | float = 1.0
            if self.has_dispersion:
                phi = torch.exp(point[-1]) * scale
            return self.family.log_density_shapes(self._target, eta, shapes, phi)

        rows = None if weight is None else torch.from_numpy(weight)
        value, first, second = total_derivatives(
            density, rows, torch.from_numpy(constants)
        )
        return value, first.numpy(), second.numpy()

    def _row_quadratic(self, inner: FloatArray) -> FloatArray:
        """x_ia'M x_ib for each row, (n, K, K); the last one is remembered."""
        if self._quadratic is not None and self._quadratic[0] is inner:
            return self._quadratic[1]
        size = len(self.designs)
        quadratic = np.empty((len(self.y), size, size))
        for a, left in enumerate(self.designs):
            quadratic[:, a, a] = left.row_quadratic(
                inner[self.slices[a], self.slices[a]]
            )
            for b in range(a):
                block = inner[self.slices[a], self.slices[b]]
                rows = left.row_bilinear(block, self.designs[b])
                quadratic[:, a, b] = quadratic[:, b, a] = rows
        self._quadratic = (inner, quadratic)
        return quadratic

    def pulled(self, slope: FloatArray) -> FloatArray:
        """X_k'v_k one after the other, (p,)."""
        parts = [
            design.transpose_dot(np.ascontiguousarray(slope[:, k]))
            for k, design in enumerate(self.designs)
        ]
        return np.concatenate(parts)

    def _along(self, beta: FloatArray) -> FloatArray:
        """X_k β_k side by side, (n, K)."""
        parts = zip(self.designs, self.slices, strict=True)
        return np.column_stack([design.dot(beta[part]) for design, part in parts])


def _towards(
    design: DesignOperator, goal: FloatArray, weight: FloatArray | None
) -> FloatArray:
    """Coefficients whose predictor is near a goal (n,): a constant column or a ridge.

    A column that is (nearly) constant carries the mean of the goal.
    """
    n, p = design.shape
    beta = np.zeros(p)
    if not p:
        return beta
    size = np.ones(n) if weight is None else weight
    top = design.max_abs() * size.sum()
    share = np.abs(design.transpose_dot(size)) / np.where(top == 0, 1.0, top)
    column = int(np.argmax(share))
    if share[column] > 1.0 - 1e-12:
        level = float(np.average(goal, weights=weight))
        beta[column] = level / design.rows(slice(0, 1))[0, column]
        return beta
    gram = design.gram(weight)
    right = design.transpose_dot(goal if weight is None else goal * weight)
    ridge = 1e-6 * np.diag(gram) + 1e-12 * max(float(np.diag(gram).max()), 1e-300)
    beta[:] = np.linalg.solve(gram + np.diag(ridge), right)
    return beta
