"""The terms of the structured (interpretable) head."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from semistruct._core._term import StructuredTerm, by_label, with_by

__all__ = ["Cumulative", "Linear", "Offset", "RandomEffect", "Smooth", "Tensor"]


@dataclass(frozen=True)
class Linear(StructuredTerm):
    """Parametric terms, in formulaic's language.

    Parameters
    ----------
    formula : str
        For instance ``"age + C(stage) + age:C(stage)"``; ``"0"`` takes the intercept
        out.

    Examples
    --------
    >>> import semistruct as ss
    >>> ss.terms.Linear("age + C(stage)").label
    'age + C(stage)'
    """

    formula: str

    @property
    def label(self) -> str:
        return self.formula

    @property
    def columns(self) -> tuple[str, ...]:
        return ()  # the design reads them off the formula


@dataclass(frozen=True)
class Smooth(StructuredTerm):
    """A penalised smooth function of one column, or of several by ``bs="tp"``.

    Parameters
    ----------
    column : str or tuple of str
        Numeric column; several for an isotropic surface by ``bs="tp"``; a factor for
        ``bs="mrf"``.
    k : int, optional
        Dimension of the basis before the sum-to-zero constraint (a cyclic one has one
        function less). Default 10, for two columns 30, for more 110. ``"mrf"`` takes
        none: it has one coefficient for each region.
    bs : {"ps", "cr", "cc", "tp", "mrf", "mpi", "mpd"}, default="ps"
        Basis: P-splines (cubic, second differences), cubic regression splines, cyclic
        ones (over the range of the column), thin plate regression splines, Markov
        random field over regions, monotone increasing or decreasing P-splines.
    by : str, optional
        Numeric column that multiplies the smooth, or factor with a smooth per level.
    sp : float, optional
        Smoothing parameter, >= 0; estimated by REML where it is not given.
    neighbours : mapping of level to levels, optional
        For ``"mrf"`` only: the neighbours of every region. The relation is symmetric;
        a region without neighbours has an empty list. It is stored as sorted tuples,
        and cannot stand in a formula.

    Examples
    --------
    >>> import semistruct as ss
    >>> line = {"west": ["middle"], "middle": ["west", "east"], "east": ["middle"]}
    >>> ss.terms.Smooth("region", bs="mrf", neighbours=line).neighbours
    (('east', ('middle',)), ('middle', ('east', 'west')), ('west', ('middle',)))
    """

    column: str | tuple[str, ...]
    k: int | None = None
    bs: str = "ps"
    by: str | None = None
    sp: float | None = None
    neighbours: Any = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if isinstance(self.neighbours, Mapping):
            object.__setattr__(self, "neighbours", _sorted_pairs(self.neighbours))

    @property
    def names(self) -> tuple[str, ...]:
        """Columns that the function is of; ``by`` is not among them."""
        return self.column if isinstance(self.column, tuple) else (self.column,)

    @property
    def label(self) -> str:
        return by_label(f"s({', '.join(self.names)})", self.by)

    @property
    def columns(self) -> tuple[str, ...]:
        return with_by(self.names, self.by)


@dataclass(frozen=True)
class Tensor(StructuredTerm):
    """A tensor product smooth of several columns, one penalty for each.

    Parameters
    ----------
    names : tuple of str
        Numeric columns, two or more.
    k : int or tuple of int, default=5
        Dimension of each marginal basis.
    bs : {"ps", "cr", "cc", "tp"} or a tuple of them, default="ps"
        Marginal basis, one for all or one for each column.
    by : str, optional
        As for `Smooth`.
    sp : tuple of float, optional
        Smoothing parameters, one for each column.
    interaction : bool, default=False
        Whether main effects are taken out (``ti``) or are part of it (``te``).
    np : bool, default=False
        Whether margins are reparameterised to values of the function at equidistant
        points, so that each penalty is of the shape along its column alone (mgcv does
        so unless told otherwise). ``"cr"`` and ``"cc"`` are such values already.
    """

    names: tuple[str, ...]
    k: int | tuple[int, ...] = 5
    bs: str | tuple[str, ...] = "ps"
    by: str | None = None
    sp: tuple[float, ...] | None = None
    interaction: bool = False
    np: bool = False

    @property
    def label(self) -> str:
        function = "ti" if self.interaction else "te"
        return by_label(f"{function}({', '.join(self.names)})", self.by)

    @property
    def columns(self) -> tuple[str, ...]:
        return with_by(self.names, self.by)


@dataclass(frozen=True)
class RandomEffect(StructuredTerm):
    """A random intercept, or a random slope: a ridge with its own variance.

    Parameters
    ----------
    group : str
        Column of the grouping factor.
    slope : str, optional
        Numeric column whose slope varies over groups.
    sp : float, optional
        Ratio of the residual variance to the variance of the effect.
    """

    group: str
    slope: str | None = None
    sp: float | None = None

    @property
    def label(self) -> str:
        inner = self.group if self.slope is None else f"{self.group}, {self.slope}"
        return f"re({inner})"

    @property
    def columns(self) -> tuple[str, ...]:
        return with_by((self.group,), self.slope)


@dataclass(frozen=True)
class Cumulative(StructuredTerm):
    """The effect of past exposures, each weighted by how long ago it was.

    At time t it is Σ_l 1[lead <= t − t_l <= lag] Δ_l h(t − t_l) z_l, with exposures z_l
    at times t_l, Δ_l = t_l − t_{l−1} (the first as the second), and h a P-spline of the
    latency (Sylvestre & Abrahamowicz 2009, doi:10.1002/sim.3701; Bender, Scheipl,
    Hartl, Day & Küchenhoff 2019, doi:10.1093/biostatistics/kxy003).

    Parameters
    ----------
    column : str
        Column whose cells are arrays of L exposures, such as a tensor column.
    k : int, optional
        Dimension of the basis of h, at least 4. Default 10.
    lag : float, optional
        Longest latency, after which an exposure has no effect. Default: from the first
        exposure to the last time of the data.
    lead : float, default=0.0
        Shortest latency, before which an exposure has no effect yet; >= 0.
    times : tuple of float, optional
        Times t_l of the exposures, increasing. Default 1, …, L.
    time : str, default="time"
        Name of the column of t: in a piecewise exponential model, of the time axis.
    sp : float, optional
        Smoothing parameter, >= 0; estimated by REML where it is not given.

    Examples
    --------
    >>> import semistruct as ss
    >>> ss.terms.Cumulative("dose", lag=30.0).label
    'cumulative(dose)'
    """

    column: str
    k: int | None = None
    lag: float | None = None
    lead: float = 0.0
    times: tuple[float, ...] | None = None
    time: str = "time"
    sp: float | None = None

    @property
    def label(self) -> str:
        return f"cumulative({self.column})"

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column, self.time)


@dataclass(frozen=True)
class Offset(StructuredTerm):
    """A known contribution to the linear predictor, with coefficient 1.

    Parameters
    ----------
    column : str
        Numeric column, on the scale of the link.
    """

    column: str

    @property
    def label(self) -> str:
        return f"offset({self.column})"

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)


def _sorted_pairs(neighbours: Mapping[Any, Any]) -> tuple[Any, ...]:
    """Give a mapping of levels to levels as sorted tuples of plain values."""

    def plain(level: Any) -> Any:
        return level.item() if hasattr(level, "item") else level

    def levels(values: Any) -> tuple[Any, ...]:
        alone = isinstance(values, str) or not isinstance(values, Iterable)
        found = {plain(v) for v in ((values,) if alone else values)}
        return tuple(sorted(found, key=rank))

    def rank(level: Any) -> tuple[bool, float, str]:
        number = isinstance(level, (int, float))
        return (False, level, "") if number else (True, 0.0, str(level))

    pairs = {plain(level): levels(values) for level, values in neighbours.items()}
    return tuple((level, pairs[level]) for level in sorted(pairs, key=rank))
