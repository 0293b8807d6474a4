"""The distribution of censoring, and the weights that it gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from semistruct._core.surv import Surv
from semistruct._core.validation import check_choice, check_number
from semistruct.exceptions import DataError, ParameterError

from ._kaplan_meier import kaplan_meier

__all__ = ["IPCW", "CensoringDistribution", "case_ipcw", "control_ipcw", "resolve"]

IPCW = ("left", "scikit-survival", "pycox")
_ROWS = 256  # rows for which a conditional G is asked at a time


class CensoringDistribution:
    """Kaplan-Meier estimate of G(t) = P(C > t), the time of censoring beyond t.

    Make it with `fit`. It stands wherever a measure asks for ``y_train``.

    Parameters
    ----------
    times : ndarray of shape (m,)
        Where G steps, increasing.
    values : ndarray of shape (m,)
        G from each time on.
    horizon : float
        G is known up to here; infinite if nobody was censored, or if G reached 0.
    event_quantiles : ndarray of shape (101,)
        Percentiles 0 … 100 of the times of the events it was fitted with.
    truncate : float, default=0
        G is never below this.

    Examples
    --------
    >>> import semistruct as ss
    >>> y = ss.Surv([1.0, 2.0, 3.0, 4.0], [1, 0, 1, 1])
    >>> G = ss.metrics.CensoringDistribution.fit(y)
    >>> G([1.0, 2.0, 3.0]).round(3).tolist()
    [1.0, 0.667, 0.667]
    >>> G([2.0], left=True).tolist()
    [1.0]
    """

    def __init__(
        self,
        times: Any,
        values: Any,
        horizon: float,
        event_quantiles: Any,
        truncate: float = 0.0,
    ) -> None:
        owner = "CensoringDistribution"
        check_number(
            truncate, parameter="truncate", owner=owner, low=0, high=1, closed="left"
        )
        self.times = np.asarray(times, dtype=np.float64)
        self.values = np.asarray(values, dtype=np.float64)
        self.horizon = float(horizon)
        self.event_quantiles = np.asarray(event_quantiles, dtype=np.float64)
        self.truncate = float(truncate)

    @classmethod
    def fit(
        cls, y: Any, *, ties: str = "events first", truncate: float = 0.0
    ) -> CensoringDistribution:
        """Estimate G, from the data that a model was trained on.

        Parameters
        ----------
        y : Surv, or what ``Surv.coerce`` takes
            Times and events; weights and late entry are used, strata and causes not.
        ties : {"events first", "together"}, default="events first"
            Where an event and a censoring share a time, "events first" takes the event
            to be the earlier one, so that it is not at risk of that censoring (R's and
            scikit-survival's G); "together" counts it as at risk (pycox's G).
        truncate : float, default=0
            Let G be no smaller than this, in [0, 1); weights are then at most
            1/truncate, at the price of a bias.

        Returns
        -------
        CensoringDistribution
        """
        y = Surv.coerce(y)
        owner = "CensoringDistribution.fit"
        check_choice(ties, ("events first", "together"), parameter="ties", owner=owner)
        if len(y) == 0:
            raise DataError(f"{owner}: y has no rows.")
        leaving = y.event if ties == "events first" else None
        curve = kaplan_meier(y.time, ~y.event, y.weights, y.entry, leaving)
        if y.event.all():
            horizon = np.inf
        else:
            horizon = float(y.time.max()) if curve.survival[-1] > 0 else np.inf
        steps = np.flatnonzero(np.diff(curve.survival, prepend=1.0) != 0)
        seen = y.time[y.event] if y.event.any() else y.time
        quantiles = np.percentile(seen, np.arange(101))
        return cls(
            curve.times[steps], curve.survival[steps], horizon, quantiles, truncate
        )

    def __call__(self, times: Any, *, left: bool = False) -> np.ndarray:
        """Evaluate G.

        Parameters
        ----------
        times : array-like of shape (t,)
            In the unit of the target.
        left : bool, default=False
            Give G(t−) = P(C ≥ t) in place of G(t).

        Returns
        -------
        ndarray of shape (t,)
            In [truncate, 1].

        Raises
        ------
        DataError
            If a time lies beyond the horizon.
        """
        asked = np.atleast_1d(np.asarray(times, dtype=np.float64))
        if asked.size and asked.max() > self.horizon:
            raise DataError(
                "The censoring distribution is known up to the horizon of the "
                f"training data, {self.horizon:g}; it was asked at {asked.max():g}. "
                "Evaluate earlier times, or choose a smaller tau."
            )
        at = np.searchsorted(self.times, asked, side="left" if left else "right")
        return np.maximum(np.r_[1.0, self.values][at], self.truncate)

    def default_times(self, n: int = 100) -> np.ndarray:
        """Choose times between the 10th and 90th percentile of the event times.

        Parameters
        ----------
        n : int, default=100
            How many, equally spaced.

        Returns
        -------
        ndarray of shape (<= n,)
            Those at which G is positive.
        """
        check_number(
            n, parameter="n", owner="default_times()", low=2, high=1e7, integer=True
        )
        low, high = self.event_quantiles[[10, 90]]
        times = np.unique(np.linspace(low, min(high, self.horizon), n))
        return times[self(times) > 0]

    def to_state(self) -> dict[str, Any]:
        """Give all that `from_state` needs."""
        return {
            "times": self.times,
            "values": self.values,
            "horizon": None if np.isinf(self.horizon) else self.horizon,
            "event_quantiles": self.event_quantiles,
            "truncate": self.truncate,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> CensoringDistribution:
        """Make it anew from `to_state`."""
        horizon = np.inf if state["horizon"] is None else state["horizon"]
        return cls(**{**state, "horizon": horizon})

    def __repr__(self) -> str:
        last = self.values[-1] if len(self.values) else 1.0
        known = "everywhere" if np.isinf(self.horizon) else f"up to {self.horizon:g}"
        return f"CensoringDistribution(known {known}, at last {last:.3g})"


Conditional = Callable[[np.ndarray, Any], Any]


def resolve(
    y_train: Any, X: Any, y: Surv, ipcw: str, owner: str
) -> CensoringDistribution | Conditional:
    """Take what a user gives as ``y_train``: data, a distribution, or a function."""
    check_choice(ipcw, IPCW, parameter="ipcw", owner=owner)
    if isinstance(y_train, CensoringDistribution):
        return y_train
    if callable(y_train):
        if X is None or len(X) != len(y):
            raise ParameterError(
                parameter="X",
                owner=owner,
                allowed=f"a table of the {len(y)} rows of y",
                given=None if X is None else f"{len(X)} rows",
                hint="A censoring model that is called as model(times, X) needs it.",
            )
        return y_train
    ties = "together" if ipcw == "pycox" else "events first"
    return CensoringDistribution.fit(y_train, ties=ties)


def case_ipcw(
    censoring: CensoringDistribution | Conditional,
    X: Any,
    y: Surv,
    until: float,
    ipcw: str,
) -> np.ndarray:
    """Give 1/G at the own time of each row with an event up to ``until``, else 0."""
    rows = np.flatnonzero(y.event & (y.time <= until))
    left = ipcw != "scikit-survival"
    time = y.time[rows]
    if isinstance(censoring, CensoringDistribution):
        values = censoring(time, left=left)
    else:
        asked = np.nextafter(time, -np.inf) if left else time
        values = np.empty(len(rows))
        for start in range(0, len(rows), _ROWS):
            part = slice(start, start + _ROWS)
            given = _ask(censoring, asked[part], _take(X, rows[part]))
            values[part] = given.diagonal()
    found = np.zeros(len(y))
    found[rows] = 1.0 / _positive(values, time, censoring)
    return found


def control_ipcw(
    censoring: CensoringDistribution | Conditional, X: Any, times: np.ndarray
) -> np.ndarray:
    """Give 1/G at the times, of shape (1, m), or (n, m) if G depends on X."""
    if isinstance(censoring, CensoringDistribution):
        values = censoring(times)
        return 1.0 / _positive(values, times, censoring)[None, :]
    values = _ask(censoring, times, X)
    return 1.0 / _positive(values, np.broadcast_to(times, values.shape), censoring)


def _positive(values: np.ndarray, times: np.ndarray, censoring: Any) -> np.ndarray:
    bad = ~(values > 0)
    if not bad.any():
        return values
    asked = first = float(times[bad].min())
    if isinstance(censoring, CensoringDistribution):
        first = float(censoring.times[censoring.values <= 0][0])
        what = "truncate the weights, CensoringDistribution.fit(y_train, truncate=0.05)"
    else:
        what = "let the censoring model give no value below, say, 0.05"
    raise DataError(
        f"The censoring survival function is zero at time {first:g}, but is needed at "
        f"time {asked:g} (and at {int(bad.sum()) - 1} more): inverse weights do not "
        f"exist there. Evaluate earlier times only (times, tau < {first:g}), or {what}."
    )


def _ask(censoring: Conditional, times: np.ndarray, X: Any) -> np.ndarray:
    given = np.asarray(censoring(times, X), dtype=np.float64)
    if given.shape != (len(X), len(times)):
        raise DataError(
            f"The censoring model gave shape {given.shape} for {len(X)} rows and "
            f"{len(times)} times; it must give one row for each row of X."
        )
    if not np.all((given >= 0) & (given <= 1 + 1e-12)):
        raise DataError("The censoring model gave values outside of [0, 1].")
    return given


def _take(X: Any, rows: np.ndarray) -> Any:
    return X.iloc[rows] if hasattr(X, "iloc") else X[rows]
