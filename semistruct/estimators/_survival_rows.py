"""Rows, strata and times that predictions over time are asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from semistruct.exceptions import DataError, ParameterError

from ._curves import Curves, Rows
from ._terms import FittedTerms

__all__ = ["SurvivalRows"]


class SurvivalRows(FittedTerms):
    """Checks of what is asked; a part of the survival estimator."""

    curves_: Curves

    def _rows_of(self, X: Any, strata: Any = ...) -> Rows:
        """Check a table; with ``strata`` left out, strata do not matter."""
        frame = self._frame(X)
        if strata is ...:
            return Rows(self.predictor_, frame)
        return Rows(self.predictor_, frame, self._strata(strata, len(frame)))

    def _times(self, times: Any) -> np.ndarray:
        """Check the times asked for; the default grid where there are none."""
        if times is None:
            return self.curves_.times
        try:
            asked = np.unique(np.asarray(times, dtype=np.float64))
        except (TypeError, ValueError):
            asked = np.array([np.nan])
        if not len(asked) or not np.isfinite(asked).all() or asked[0] < 0:
            raise ParameterError(
                parameter="times",
                owner=type(self).__name__,
                allowed="finite numbers >= 0",
                given=times,
            )
        return asked

    def _known_until(self, given: Any, n: int) -> np.ndarray:
        """Check the times until which rows are without the event; give (n,)."""
        try:
            since = np.asarray(given, dtype=np.float64)
        except (TypeError, ValueError):
            since = np.array(np.nan)
        good = np.isfinite(since).all() and (since >= 0).all()
        if since.shape not in ((), (n,)) or not good:
            raise ParameterError(
                parameter="given",
                owner=f"{type(self).__name__}.predict_conditional_survival_function",
                allowed=f"a finite time >= 0, or one for each of {n} rows",
                given=given,
            )
        return np.broadcast_to(since, (n,))

    def _strata(self, strata: Any, n: int) -> list[Any]:
        known = list(self.curves_.labels)
        if known == [None]:
            if strata is not None:
                raise DataError(
                    f"{type(self).__name__}: strata= is given, but the model has no "
                    "strata: y had none in fit."
                )
            return [None] * n
        if strata is None:
            raise DataError(
                f"{type(self).__name__}: the model has strata, so a survival function "
                f"needs strata=, one of {known} for each row."
            )
        labels = np.atleast_1d(np.asarray(strata)).tolist()
        if len(labels) != n:
            raise DataError(f"strata has {len(labels)} rows, but X has {n}.")
        found = pd.Index(known, dtype=object)
        at = found.get_indexer(pd.Index(labels, dtype=object))
        if (at < 0).any():
            row = int(np.argmax(at < 0))
            raise DataError(
                f"strata: row {row} is in stratum {labels[row]!r}, which was not there "
                f"in fit; known are {known}."
            )
        return labels
