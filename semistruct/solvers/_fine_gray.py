"""Regression of the subdistribution hazard after Fine and Gray."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semistruct._core.validation import check_choice, check_number, suggest
from semistruct.exceptions import ConvergenceWarning, DataError, TargetError
from semistruct.solvers._checks import as_matrix, as_offset, as_weight
from semistruct.solvers._cox import check_survival
from semistruct.solvers._estimate import estimate
from semistruct.solvers._fine_gray_influence import (
    BaselineSpread,
    baseline_spread,
    influence,
)
from semistruct.solvers._fine_gray_likelihood import FineGrayLikelihood
from semistruct.solvers._fine_gray_sets import Follow, SubdistributionSets
from semistruct.solvers._linalg import check_rank
from semistruct.solvers._penalty import PenaltySystem
from semistruct.solvers._report import assemble
from semistruct.solvers._result import ExactFit

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class FineGrayFit:
    """A fitted model of a subdistribution hazard.

    Attributes
    ----------
    fit : ExactFit
        Its ``cov`` takes the weights of censoring as known and the rows as independent
        (of a weighted partial likelihood it is not the variance of the estimate).
    cov_robust : ndarray of shape (p, p)
        Covariance to report: Fine and Gray's sandwich, with the uncertainty of the
        estimated weights in it; by cluster where there are clusters.
    baseline : dict of label to (times, hazard)
        Cumulative subdistribution hazard Λ₀ of each stratum at η = ``level``, (m,)
        each; the only label is None without strata. The cumulative incidence is
        F(t | x) = 1 − exp(−Λ₀(t) exp(η − level)).
    level : float
        Weighted mean of the linear predictor of the fit.
    """

    fit: ExactFit
    cov_robust: FloatArray
    baseline: dict[Hashable, tuple[FloatArray, FloatArray]]
    level: float
    _source: _Source = field(repr=False)

    def spread(self, count: int = 100) -> dict[Hashable, BaselineSpread]:
        """Sum up what limits of predicted curves need, in O(n · count).

        Parameters
        ----------
        count : int, default 100
            At how many event times of each stratum, at most.

        Returns
        -------
        dict of label to BaselineSpread
            For :func:`semistruct.inference.fine_gray_band`; strata without events are
            left out.
        """
        check_number(
            count, parameter="count", owner="spread()", low=1, high=1e6, integer=True
        )
        source = self._source
        sizes = np.diff(source.likelihood.sets.bounds)
        return {
            label: baseline_spread(
                source.likelihood,
                self.fit.coef,
                source.change,
                source.clusters,
                self.level,
                s,
                count,
            )
            for s, label in enumerate(self.baseline)
            if sizes[s]
        }


class _Source(NamedTuple):
    """What the limits are made from: the rows, and what they do to the coefficients."""

    likelihood: FineGrayLikelihood
    change: FloatArray  # by cluster
    clusters: NDArray[np.intp]


def fit_fine_gray(
    design: ArrayLike,
    time: ArrayLike,
    event: ArrayLike,
    cause: ArrayLike,
    *,
    of: Any,
    entry: ArrayLike | None = None,
    strata: ArrayLike | None = None,
    subject: ArrayLike | None = None,
    clusters: ArrayLike | None = None,
    censoring: str = "strata",
    ties: str = "efron",
    penalties: Sequence[Any] = (),
    sample_weight: ArrayLike | None = None,
    offset: ArrayLike | None = None,
    corrected: bool = True,
) -> FineGrayFit:
    """Fit a proportional subdistribution hazards model by penalised likelihood.

    The hazard of the cause among those who have not had it, whether or not they had
    another event: λ(t | x) = λ₀(t) exp(η), so that F(t | x) = 1 − exp(−∫λ). A row with
    another event at T stays at risk at t > T with weight A(t)/A(T),
    A(t) = Ĝ(t−) Ĥ(t−), G the survival function of censoring and H the distribution
    function of entry, both by Kaplan-Meier from the weighted rows. No row is split: the
    information costs O((n + m) p²) for m event times.

    Parameters
    ----------
    design : array-like of shape (n, p)
        No intercept column.
    time : array-like of shape (n,)
        End of follow-up.
    event : array-like of shape (n,)
        True for an event of any cause at ``time``.
    cause : array-like of shape (n,)
        Cause of the event; not looked at in censored rows.
    of : label
        The cause of interest.
    entry : array-like of shape (n,), optional
        Start of being at risk, below ``time``.
    strata : array-like of shape (n,), optional
        Labels of strata with baseline hazards of their own.
    subject : array-like of shape (n,), optional
        Labels where a subject has several rows (entry, time]: only its last row can be
        censored, only its first can enter.
    clusters : array-like of shape (n,), optional
        Labels of what is independent, for ``cov_robust``; ``subject`` when not given.
    censoring : {"strata", "pooled"}, default "strata"
        Whether G and H are estimated in each stratum or from all rows.
    ties : {"efron", "breslow"}, default "efron"
        Of the events of the cause of interest.
    penalties : sequence of Penalty
        ``sp`` given is kept, None is estimated by REML.
    sample_weight : array-like of shape (n,), optional
        Case weights ≥ 0, in G and H too.
    offset : array-like of shape (n,), optional
        Known part of the log relative hazard.
    corrected : bool, default True
        Whether to compute ``cov_corrected``.

    Returns
    -------
    FineGrayFit

    Raises
    ------
    RankDeficiencyError
        When a column does not vary within strata, or is a combination of others.
    TargetError
        When times, events or entries cannot be used, or nobody has the cause.
    DataError
        When lengths disagree, or the weights do not exist.

    Warns
    -----
    ConvergenceWarning
        When the optimum is not certified, or the likelihood is monotone.

    Notes
    -----
    ``cov_robust`` is D'D, D the derivative of the coefficients in the weights of the
    rows (the infinitesimal jackknife), Ĝ and Ĥ being re-estimated: η_i + ψ_i of Fine
    and Gray, with r − d in the place of r in the increments of ψ. Smoothing parameters
    count as known.

    References
    ----------
    Fine & Gray (1999), Journal of the American Statistical Association 94, 496-509,
    doi:10.1080/01621459.1999.10474144; Geskus (2011), Biometrics 67, 39-49,
    doi:10.1111/j.1541-0420.2010.01420.x

    Examples
    --------
    >>> from semistruct.solvers import fit_fine_gray
    >>> x = [[0.0], [1.0], [0.0], [1.0], [1.0], [0.0]]
    >>> found = fit_fine_gray(
    ...     x, [5.0, 3.0, 4.0, 6.0, 1.0, 2.0], [1, 1, 1, 0, 1, 1],
    ...     ["a", "a", "b", "", "a", "b"], of="a",
    ... )
    >>> found.fit.coef.round(4)
    array([1.2271])
    """
    owner = "fit_fine_gray"
    check_choice(ties, ("efron", "breslow"), parameter="ties", owner=owner)
    check_choice(censoring, ("strata", "pooled"), parameter="censoring", owner=owner)
    x = as_matrix(design)
    n, p = x.shape
    stop, dead, start, groups = check_survival(
        time, event, entry=entry, strata=strata, n=n, owner=owner
    )
    target = _target(cause, dead, of, owner)
    given = as_weight(sample_weight, n)
    weight: FloatArray = np.ones(n) if given is None else given
    shift = as_offset(offset, n, 1)
    if not (target & (weight > 0)).any():
        raise TargetError(f"{owner}: no row with a positive weight has cause {of!r}.")
    group = np.zeros(n, dtype=np.intp)
    if groups is not None and censoring == "strata":
        group = np.unique(groups, return_inverse=True)[1].astype(np.intp)
    follow = _follow(stop, dead, start, weight, subject, group, owner)
    subsets = SubdistributionSets.build(
        follow, target, entry=start, strata=groups, ties=ties
    )
    likelihood = FineGrayLikelihood(x, subsets, shift[:, 0])
    found = estimate(
        likelihood,
        PenaltySystem([(0, penalty) for penalty in penalties], p),
        check_rank=lambda root: check_rank(likelihood.design, root),
        column_reach=lambda: np.abs(likelihood.design).max(axis=0, initial=0.0),
        corrected=corrected,
        trouble="monotone likelihood",
    )
    working = np.zeros((n, 1))
    working[subsets.sets.rows, 0] = likelihood.expected(found.beta)
    fit = assemble(
        found,
        slices=(slice(0, p),),
        loglik=likelihood.value(found.beta),
        linear_predictor=(x @ found.beta)[:, None] + shift,
        working_weight=working,
        n_effective=float(weight.sum()),
        dispersion=1.0,
    )
    change = influence(likelihood, found.beta) @ found.inverse
    labels = subject if clusters is None else clusters
    code = np.arange(n) if labels is None else _codes(labels, n, owner)
    summed = np.zeros((code.max() + 1, p))
    np.add.at(summed, code, change)
    level = float(np.average(fit.linear_predictor[:, 0], weights=weight))
    if not fit.converged:
        warnings.warn(fit.message, ConvergenceWarning, stacklevel=2)
    return FineGrayFit(
        fit=fit,
        cov_robust=summed.T @ summed,
        baseline=_baseline(fit, subsets, level, groups is not None),
        level=level,
        _source=_Source(likelihood, summed, code),
    )


def _target(cause: ArrayLike, dead: BoolArray, of: Any, owner: str) -> BoolArray:
    """Mark the events of the cause of interest."""
    labels = np.asarray(cause)
    if labels.shape != dead.shape:
        raise DataError(
            f"{owner}: cause has shape {labels.shape}, need ({len(dead)},)."
        )
    target: BoolArray = dead & np.asarray(labels == of, dtype=bool)
    if not target.any():
        known = sorted({*labels[dead].tolist()}, key=str)
        raise TargetError(
            f"{owner}: no event has the cause {of!r}; there are {known}."
            f"{suggest(str(of), map(str, known))}"
        )
    return target


def _follow(
    time: FloatArray,
    event: BoolArray,
    entry: FloatArray | None,
    weight: FloatArray,
    subject: ArrayLike | None,
    group: NDArray[np.intp],
    owner: str,
) -> Follow:
    """Tell censoring and entry of subjects from the seams between their rows."""
    n = len(time)
    start: FloatArray = np.full(n, -np.inf) if entry is None else entry
    first, last = np.ones(n, dtype=bool), np.ones(n, dtype=bool)
    if subject is not None:
        labels = np.asarray(subject)
        if labels.shape != (n,):
            raise DataError(f"{owner}: subject has shape {labels.shape}, need ({n},).")
        code = np.unique(labels, return_inverse=True)[1]
        order = np.lexsort((time, code))
        same = code[order][1:] == code[order][:-1]
        before, after = order[:-1][same], order[1:][same]
        last[before], first[after] = False, False
        bad = np.flatnonzero(event[before] | (start[after] != time[before]))
        if bad.size:
            a, b = int(before[bad[0]]), int(after[bad[0]])
            raise TargetError(
                f"{owner}: rows of a subject must follow each other without a gap and "
                f"end with its event; rows {a} and {b} of {labels.tolist()[a]!r} cover "
                f"({start[a]:g}, {time[a]:g}] and ({start[b]:g}, {time[b]:g}]."
            )
    enters = np.zeros(n, dtype=bool)
    # entries before anybody leaves truncate nothing
    if entry is not None and (start[first & (weight > 0)] > time.min()).any():
        enters = first
    censored = last & ~event
    return Follow(time, start, weight, event, censored, enters, group)


def _codes(clusters: ArrayLike, n: int, owner: str) -> NDArray[np.intp]:
    labels = np.asarray(clusters)
    if labels.shape != (n,):
        raise DataError(f"{owner}: clusters has shape {labels.shape}, need ({n},).")
    code: NDArray[np.intp] = np.unique(labels, return_inverse=True)[1]
    return code


def _baseline(
    fit: ExactFit, subsets: SubdistributionSets, level: float, stratified: bool
) -> dict[Hashable, tuple[FloatArray, FloatArray]]:
    """Λ₀ at η = level: Σ ω/S0 up to each event time of a stratum."""
    sets = subsets.sets
    eta = fit.linear_predictor[:, 0] - level
    none = np.zeros((len(eta), 0))
    state = FineGrayLikelihood(none, subsets, eta).at(np.zeros(0))
    hazard = sets.forward(sets.by_time(sets.step_weight / state.total))
    hazard = hazard * np.exp(-np.repeat(state.shift, np.diff(sets.bounds)))
    keys: list[Hashable] = sets.labels.tolist() if stratified else [None]
    return {
        key: (sets.times[begin:end].copy(), hazard[begin:end].copy())
        for key, begin, end in zip(keys, sets.bounds[:-1], sets.bounds[1:], strict=True)
    }
