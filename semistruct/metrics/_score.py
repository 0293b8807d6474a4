"""What a measure gives: an estimate with its standard error."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np
import pandas as pd

from semistruct._core.validation import check_number
from semistruct.exceptions import DataError

__all__ = ["Score", "ScoreCurve", "normal_quantile"]


def normal_quantile(level: float, owner: str) -> float:
    """Give z of a two-sided interval."""
    check_number(level, parameter="level", owner=owner, low=0, high=1, closed="neither")
    return NormalDist().inv_cdf(0.5 + level / 2)


@dataclass(frozen=True, eq=False)
class Score:
    """A measure of n rows with its standard error.

    Parameters
    ----------
    name : str
        What was measured.
    estimate : float
        The value; ``float(score)`` gives it too.
    influence : ndarray of shape (n,)
        Weight of each row (or of each ``id``) times the derivative of the estimate in
        that weight: the infinitesimal jackknife. Two scores of the same rows can be
        compared by it.
    bounds : tuple of float, default=(-inf, inf)
        Range of the measure; intervals end there.

    Examples
    --------
    >>> import semistruct as ss
    >>> y = ss.Surv([1.0, 2.0, 3.0, 4.0], [1, 1, 0, 1])
    >>> score = ss.metrics.harrell(y, [4.0, 2.0, 3.0, 1.0])
    >>> score
    Score(harrell = 0.8000, se = 0.2040)
    """

    name: str
    estimate: float
    influence: np.ndarray = field(repr=False)
    bounds: tuple[float, float] = (-np.inf, np.inf)

    @property
    def se(self) -> float:
        """Standard error: the root of the sum of squared influences."""
        return float(np.sqrt(np.sum(self.influence**2)))

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Give the interval estimate ± z se, cut at the bounds.

        Parameters
        ----------
        level : float, default=0.95
            Coverage, in (0, 1).

        Returns
        -------
        tuple of float
            Lower and upper end.
        """
        reach = normal_quantile(level, "interval()") * self.se
        low, high = self.bounds
        return max(low, self.estimate - reach), min(high, self.estimate + reach)

    def difference(self, other: Score) -> Score:
        """Give this score minus another of the same rows, with its standard error.

        Parameters
        ----------
        other : Score
            The same measure of other predictions for the same rows.

        Returns
        -------
        Score
            The two are correlated, and the standard error knows it.
        """
        if self.influence.shape != other.influence.shape:
            raise DataError(
                f"Only scores of the same rows can be compared: {self.name} has "
                f"{len(self.influence)}, {other.name} has {len(other.influence)}."
            )
        return Score(
            f"{self.name} - {other.name}",
            self.estimate - other.estimate,
            self.influence - other.influence,
        )

    def __float__(self) -> float:
        return self.estimate

    def __repr__(self) -> str:
        return f"Score({self.name} = {self.estimate:.4f}, se = {self.se:.4f})"


@dataclass(frozen=True, eq=False)
class ScoreCurve:
    """A measure at several times, with standard errors and the mean over time.

    Parameters
    ----------
    name : str
        What was measured.
    times : ndarray of shape (m,)
        Times, in the unit of the target.
    estimate, se : ndarray of shape (m,)
        Value and standard error at each time.
    integrated : Score or None
        The mean over time; None for a single time of a measure that needs two.
    bounds : tuple of float
        Range of the measure.
    """

    name: str
    times: np.ndarray
    estimate: np.ndarray
    se: np.ndarray
    integrated: Score | None = None
    bounds: tuple[float, float] = (-np.inf, np.inf)

    def interval(self, level: float = 0.95) -> np.ndarray:
        """Give pointwise intervals estimate ± z se, cut at the bounds.

        Parameters
        ----------
        level : float, default=0.95
            Coverage at each time, in (0, 1).

        Returns
        -------
        ndarray of shape (m, 2)
        """
        reach = normal_quantile(level, "interval()") * self.se
        ends = np.column_stack([self.estimate - reach, self.estimate + reach])
        return np.clip(ends, *self.bounds)

    def to_frame(self) -> pd.DataFrame:
        """Give a DataFrame: a row for each time, the estimate and its se as columns."""
        index = pd.Index(self.times, name="time")
        return pd.DataFrame({self.name: self.estimate, "se": self.se}, index=index)

    def __repr__(self) -> str:
        m = len(self.times)
        return f"ScoreCurve({self.name}, {m} times, integrated={self.integrated!r})"
