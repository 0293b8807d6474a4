"""Thin plate regression splines.

Legend: n rows, d columns, m knots, k functions, M of them polynomials.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import linalg
from scipy.sparse.linalg import eigsh

from semistruct.design._basis import Basis, Neighbours
from semistruct.design._natural import combine, cubic_weights

__all__ = ["ThinPlate", "is_degenerate", "null_dimension"]

MOST_KNOTS = 2000
_FULL_BELOW = 300  # knots from which on only some eigenvectors are computed
_CELLS = 1 << 16  # cells of the kernel that are evaluated at once, within the cache


def order(d: int) -> int:
    """Give the order of the derivatives that are penalised: least m, 2m > d + 1."""
    return (d + 3) // 2


def null_dimension(d: int) -> int:
    """Count the polynomials in d variables that are not penalised."""
    return math.comb(order(d) + d - 1, d)


def is_degenerate(x: np.ndarray) -> bool:
    """Say whether the unpenalised polynomials are dependent over rows x of (n, d)."""
    spread = x.std(axis=0)
    if not spread.all():
        return True
    t = _polynomials((x - x.mean(axis=0)) / spread, _powers(x.shape[1]))
    values = np.linalg.eigvalsh(t.T @ t / len(t))
    return bool(values[0] < 1e-12 * values[-1])


class ThinPlate(Basis):
    """Thin plate regression splines of one column or several.

    f(x) = Σ δ_i η(‖x - x_i‖) + polynomials, with T'δ = 0, over the distinct rows x_i;
    η(r) is r³ for odd d and r² log r for even d times a constant, the penalty is δ'Eδ,
    E_ij = η(‖x_i - x_j‖): the integrated squared derivatives of order m, the least with
    2m > d + 1. δ is confined to the k eigenvectors of E of largest modulus (Wood 2003,
    doi:10.1111/1467-9868.00374). Every function is divided by its root mean square over
    the fitted rows. The columns should be in comparable units: one smoothing parameter
    bends all alike.

    With more than 2000 distinct rows, the x_i are 2000 of them: for one column spread
    evenly over the order, for several drawn with a fixed seed. For one column the
    functions are natural cubic splines and are evaluated as such, linear outside.

    Parameters
    ----------
    shift : ndarray of shape (d,)
        Means, taken off first.
    knots : ndarray of shape (m, d)
        The rows x_i, shifted; for one column in increasing order.
    coefficients : ndarray of shape (m, k - M)
        δ of each function.
    divisors : ndarray of shape (M,)
        Of the polynomials.
    penalty : ndarray of shape (k, k)

    Examples
    --------
    >>> import numpy as np
    >>> from semistruct.design import ThinPlate
    >>> x = np.random.default_rng(0).uniform(size=(100, 2))
    >>> basis = ThinPlate.fit(x, k=20)
    >>> basis.evaluate(x).shape, basis.rank
    ((100, 20), 17)
    """

    name = "tp"
    least_k = 3
    several = True

    def __init__(
        self,
        shift: np.ndarray,
        knots: np.ndarray,
        coefficients: np.ndarray,
        divisors: np.ndarray,
        penalty: np.ndarray,
    ) -> None:
        self.shift, self.knots = _array(shift), _array(knots)
        self.coefficients, self.divisors = _array(coefficients), _array(divisors)
        self._penalty = _array(penalty)
        self.k = len(self._penalty)
        self._powers = _powers(self.knots.shape[1])
        self._table: np.ndarray | None = None
        if self.knots.shape[1] == 1:
            curvature = np.zeros((len(self.knots), self.k))
            for rows in self._chunks(len(self.knots)):
                bend = np.abs(self.knots[rows] - self.knots.T) @ self.coefficients
                curvature[rows, : bend.shape[1]] = 6.0 * _constant(1) * bend
            self._table = np.vstack([self._by_kernel(self.knots), curvature])

    @classmethod
    def fit(
        cls, x: np.ndarray, k: int, *, neighbours: Neighbours | None = None
    ) -> ThinPlate:
        x = _rows(x)
        shift = x.mean(axis=0)
        shifted = x - shift
        knots = _distinct(shifted)
        values, vectors = _largest(_kernel(knots, knots), k)
        polynomials = _polynomials(knots, _powers(x.shape[1]))
        z = _null_space(polynomials.T @ vectors)  # (k, k - M)
        coefficients = vectors @ z
        penalty = np.zeros((k, k))
        penalised = z.shape[1]
        penalty[:penalised, :penalised] = z.T @ (values[:, None] * z)
        ones = np.ones(k - penalised)
        plain = cls(shift, knots, coefficients, ones, penalty)
        rows = x if len(knots) < MOST_KNOTS else knots + shift
        squares = np.zeros(k)
        for part in np.array_split(rows, len(rows) // 16_384 + 1):
            squares += np.square(plain.evaluate(part)).sum(axis=0)
        divisor = np.sqrt(squares / len(rows))
        penalty = penalty / divisor / divisor[:, None]
        return cls(
            shift,
            knots,
            coefficients / divisor[:penalised],
            divisor[penalised:],
            (penalty + penalty.T) / 2.0,
        )

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        x = _rows(x) - self.shift
        if self._table is not None:
            first, weights = cubic_weights(x[:, 0], self.knots[:, 0])
            return combine(first, first + 1, weights, self._table)
        return self._by_kernel(x)

    def _by_kernel(self, x: np.ndarray) -> np.ndarray:
        values = np.empty((len(x), self.k))
        bent = self.coefficients.shape[1]
        for rows in self._chunks(len(x)):
            values[rows, :bent] = _kernel(x[rows], self.knots) @ self.coefficients
        values[:, bent:] = _polynomials(x, self._powers) / self.divisors
        return values

    def _chunks(self, n: int) -> list[slice]:
        size = max(1, _CELLS // len(self.knots))
        return [slice(begin, begin + size) for begin in range(0, n, size)]

    @property
    def penalty(self) -> np.ndarray:
        return self._penalty

    @property
    def rank(self) -> int:
        return self.k - len(self.divisors)

    def to_state(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "shift": self.shift,
            "knots": self.knots,
            "coefficients": self.coefficients,
            "divisors": self.divisors,
            "penalty": self._penalty,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> ThinPlate:
        names = ("shift", "knots", "coefficients", "divisors", "penalty")
        return cls(*(state[name] for name in names))


def _rows(x: np.ndarray) -> np.ndarray:
    """Give a column (n,) as a table (n, 1)."""
    x = np.asarray(x, dtype=np.float64)
    return x if x.ndim == 2 else x[:, None]


def _constant(d: int) -> float:
    """Give the factor of the kernel (Wood 2003, eq. 3)."""
    m = order(d)
    scale = math.pi ** (d / 2) * math.factorial(m - 1)
    if d % 2:
        return math.gamma(d / 2 - m) / (2 ** (2 * m) * scale)
    return 1.0 / (2 ** (2 * m - 1) * scale)


def _kernel(x: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """Give η(‖x_i - knot_j‖), (n, m)."""
    d = knots.shape[1]
    if d == 1:
        r = np.abs(x - knots.T)
        cube = r * r
        cube *= r
        cube *= _constant(d)
        return cube
    square = np.zeros((len(x), len(knots)))
    for j in range(d):
        step = np.subtract.outer(x[:, j], knots[:, j])
        step *= step
        square += step
    if d % 2:
        factor = np.sqrt(square)
    else:
        factor = np.maximum(square, np.finfo(float).tiny)
        np.log(factor, out=factor)
        factor *= 0.5
    factor *= square
    factor *= _constant(d)
    return factor


def _powers(d: int) -> list[tuple[int, ...]]:
    """List the exponents of the polynomials, the first variable fastest."""
    m = order(d)
    every = (p[::-1] for p in itertools.product(range(m), repeat=d))
    return [p for p in every if sum(p) < m]


def _polynomials(x: np.ndarray, powers: list[tuple[int, ...]]) -> np.ndarray:
    """Give the unpenalised functions, (n, M)."""
    columns = [np.prod(x ** np.array(p), axis=1) for p in powers]
    return np.column_stack(columns)


def _distinct(x: np.ndarray) -> np.ndarray:
    """Give the distinct rows in order, at most ``MOST_KNOTS`` of them."""
    x = x[np.lexsort(x.T[::-1])]
    new = np.ones(len(x), dtype=bool)
    new[1:] = (x[1:] != x[:-1]).any(axis=1)
    x = x[new]
    if len(x) <= MOST_KNOTS:
        return x
    if x.shape[1] == 1:
        return x[np.linspace(0, len(x) - 1, MOST_KNOTS).round().astype(np.intp)]
    chosen = np.random.default_rng(0).choice(len(x), MOST_KNOTS, replace=False)
    return x[np.sort(chosen)]


def _largest(matrix: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Give the k eigenvalues of largest modulus, falling, and their vectors (m, k)."""
    m = len(matrix)
    if m <= max(_FULL_BELOW, 4 * k):
        values, vectors = linalg.eigh(matrix)
    else:
        start = np.random.default_rng(0).standard_normal(m)
        values, vectors = eigsh(matrix, k=k, which="LM", v0=start)
    kept = np.argsort(-np.abs(values), kind="stable")[:k]
    kept = kept[np.argsort(-values[kept], kind="stable")]
    return values[kept], vectors[:, kept]


def _null_space(a: np.ndarray) -> np.ndarray:
    """Give an orthonormal basis (k, k - M) of what a (M, k) maps to zero.

    Row by row a Householder reflection moves all of it to the last free column. The
    choice of basis matters: the penalty's scaling depends on it.
    """
    count, k = a.shape
    q = np.eye(k)
    for i in range(count):
        size = k - i
        v = (a[i] @ q)[:size]
        v[-1] += math.copysign(float(np.linalg.norm(v)), v[-1])
        q[:, :size] -= np.outer(q[:, :size] @ v, 2.0 * v / (v @ v))
    return np.ascontiguousarray(q[:, : k - count])


def _array(values: Any) -> np.ndarray:
    return np.ascontiguousarray(values, dtype=np.float64)
