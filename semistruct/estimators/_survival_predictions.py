"""What a fitted survival estimator predicts over time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from semistruct._core.step import StepFunction
from semistruct._core.validation import check_choice, check_number
from semistruct.exceptions import ParameterError
from semistruct.inference import CurveBand, conditional_survival, critical_value

from ._survival_rows import SurvivalRows

__all__ = ["SurvivalPredictions"]


class SurvivalPredictions(SurvivalRows):
    """Predictions over time; a part of the survival estimator."""

    def predict(self, X: Any) -> np.ndarray:
        """Predict a risk score, higher for an earlier event.

        For ``"cox"`` and ``"fine_gray"`` the log hazard ratio against a row whose
        linear predictor is 0; for accelerated failure times −loc; for ``"pamm"`` and
        discrete times the log cumulative hazard at the end of the last interval, with a
        predictor of each interval the negative mean time without the event up to there.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, p)
            The table; a modality that it lacks, or a null cell, contributes 0.

        Returns
        -------
        ndarray of shape (n,), or (n, C) with C competing risks
        """
        rows = self._rows_of(X)
        return self.curves_.risk(rows)

    def predict_cumulative_hazard_function(
        self, X: Any, strata: Any = None, *, times: Any = None
    ) -> StepFunction:
        """Predict the cumulative hazard Λ(t | x), of any event with competing risks.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, p)
            The table.
        strata : array-like of shape (n,), optional
            Stratum of each row; needed if the model was fitted with strata.
        times : array-like of shape (m,), optional
            Where the functions are evaluated, >= 0; by default the event times or the
            ends of the intervals of fit.

        Returns
        -------
        StepFunction
            n functions of time.
        """
        rows = self._rows_of(X, strata)
        at = self._times(times)
        values = self.curves_.cumulative_hazard(rows, at)
        return StepFunction(at, values, before=0.0, index=rows.frame.index)

    def predict_survival_function(
        self, X: Any, strata: Any = None, *, times: Any = None
    ) -> StepFunction:
        """Predict the survival function S(t | x), without any event up to t.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, p)
            The table.
        strata : array-like of shape (n,), optional
            Stratum of each row; needed if the model was fitted with strata.
        times : array-like of shape (m,), optional
            Where the functions are evaluated, >= 0; by default the event times or the
            ends of the intervals of fit.

        Returns
        -------
        StepFunction
            n functions of time; ``.to_frame()`` gives a DataFrame. The curves of
            ``"cox"`` are steps; those of other heads are exact at ``times`` only, so
            give many to draw them.
        """
        rows = self._rows_of(X, strata)
        at = self._times(times)
        values = self.curves_.survival(rows, at)
        return StepFunction(at, values, before=1.0, index=rows.frame.index)

    def predict_survival_band(
        self,
        X: Any,
        strata: Any = None,
        *,
        times: Any = None,
        level: float = 0.95,
        transform: str = "log-log",
    ) -> CurveBand:
        """Predict survival functions with pointwise confidence limits.

        They know the uncertainty of the structured part (and of a baseline hazard);
        deep terms are conditioned on.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, p)
            The table.
        strata : array-like of shape (n,), optional
            Stratum of each row; needed if the model was fitted with strata.
        times : array-like of shape (m,), optional
            Where the functions are evaluated.
        level : float in (0, 1), default=0.95
            Coverage at each time.
        transform : {"log-log", "log", "plain"}, default="log-log"
            Scale on which the limits are symmetric: log Λ, Λ or S.

        Returns
        -------
        CurveBand
            ``estimate``, ``std_error`` (of Λ), ``lower`` and ``upper``.
        """
        owner = f"{type(self).__name__}.predict_survival_band"
        check_number(
            level, parameter="level", owner=owner, low=0, high=1, closed="neither"
        )
        kinds = ("log-log", "log", "plain")
        check_choice(transform, kinds, parameter="transform", owner=owner)
        rows = self._rows_of(X, strata)
        at = self._times(times)
        return self.curves_.band(rows, self.exact_, at, level, transform)

    def predict_conditional_survival_function(
        self, X: Any, given: Any, strata: Any = None, *, times: Any = None
    ) -> StepFunction:
        """Predict S(t | x, T > s) = S(t | x) / S(s | x).

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, p)
            The table.
        given : float or array-like of shape (n,)
            s, the time until which each row is known to be without the event.
        strata : array-like of shape (n,), optional
            Stratum of each row; needed if the model was fitted with strata.
        times : array-like of shape (m,), optional
            Where the functions are evaluated.

        Returns
        -------
        StepFunction
            1 up to s; times keep their origin.
        """
        rows = self._rows_of(X, strata)
        since = self._known_until(given, len(rows.frame))
        grid = np.union1d(self._times(times), since)
        values = self.curves_.survival(rows, grid)
        curve = StepFunction(grid, values, before=1.0, index=rows.frame.index)
        return conditional_survival(curve, since)

    def predict_cumulative_incidence_function(
        self, X: Any, strata: Any = None, *, times: Any = None
    ) -> dict[Any, StepFunction]:
        """Predict the probability of an event of each cause up to t.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, p)
            The table.
        strata : array-like of shape (n,), optional
            Stratum of each row; needed if the model was fitted with strata.
        times : array-like of shape (m,), optional
            Where the functions are evaluated.

        Returns
        -------
        dict of cause to StepFunction
            n functions each; with the survival function they add up to 1, but for
            ``"fine_gray"``, which models one cause.
        """
        rows = self._rows_of(X, strata)
        at = self._times(times)
        return {
            cause: StepFunction(at, values, before=0.0, index=rows.frame.index)
            for cause, values in self.curves_.incidence(rows, at).items()
        }

    def predict_cumulative_incidence_band(
        self,
        X: Any,
        cause: Any,
        strata: Any = None,
        *,
        times: Any = None,
        level: float = 0.95,
        transform: str = "log-log",
    ) -> CurveBand:
        """Predict the cumulative incidence of one cause with pointwise limits.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, p)
            The table.
        cause : label
            One of the causes of fit.
        strata : array-like of shape (n,), optional
            Stratum of each row; needed if the model was fitted with strata.
        times : array-like of shape (m,), optional
            Where the functions are evaluated.
        level : float in (0, 1), default=0.95
            Coverage at each time.
        transform : {"log-log", "plain"}, default="log-log"
            Scale on which the limits are symmetric: log(−log(1 − F)), or F.

        Returns
        -------
        CurveBand
            ``estimate``, ``std_error`` (of F), ``lower`` and ``upper``.
        """
        owner = f"{type(self).__name__}.predict_cumulative_incidence_band"
        check_number(
            level, parameter="level", owner=owner, low=0, high=1, closed="neither"
        )
        kinds = ("log-log", "plain")
        check_choice(transform, kinds, parameter="transform", owner=owner)
        rows = self._rows_of(X, strata)
        at = self._times(times)
        if cause not in self.curves_.causes:
            raise ParameterError(
                parameter="cause",
                owner=owner,
                allowed=f"one of the causes of fit, {list(self.curves_.causes)}",
                given=cause,
            )
        return self.curves_.incidence_band(
            rows, self.exact_, cause, at, level, transform
        )

    def predict_quantile(
        self, X: Any, p: Any = 0.5, strata: Any = None
    ) -> pd.DataFrame:
        """Predict the times by which shares p have had the event.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, p)
            The table.
        p : float or array-like, default=0.5
            Shares in (0, 1); 0.5 gives the median.
        strata : array-like of shape (n,), optional
            Stratum of each row; needed if the model was fitted with strata.

        Returns
        -------
        DataFrame of n rows
            A column for each share; infinite where the curve stays above 1 − p.
        """
        owner = f"{type(self).__name__}.predict_quantile"
        asked = np.atleast_1d(np.asarray(p)).tolist()
        for share in asked:
            check_number(
                share, parameter="p", owner=owner, low=0, high=1, closed="neither"
            )
        shares = np.array(asked, dtype=np.float64)
        rows = self._rows_of(X, strata)
        return pd.DataFrame(
            self.curves_.quantile(rows, shares),
            index=rows.frame.index,
            columns=[f"{share:g}" for share in shares],
        )

    def predict_restricted_mean(
        self, X: Any, horizon: float, strata: Any = None
    ) -> pd.Series:
        """Predict the mean time without the event up to a horizon (RMST).

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, p)
            The table.
        horizon : float
            In the unit of the times.
        strata : array-like of shape (n,), optional
            Stratum of each row; needed if the model was fitted with strata.

        Returns
        -------
        Series of n rows
        """
        owner = f"{type(self).__name__}.predict_restricted_mean"
        check_number(horizon, parameter="horizon", owner=owner, low=0, closed="right")
        rows = self._rows_of(X, strata)
        values = self.curves_.restricted_mean(rows, float(horizon))
        return pd.Series(values, index=rows.frame.index, name="restricted mean")

    def predict_quantile_interval(
        self, X: Any, p: float = 0.5, strata: Any = None, *, level: float = 0.95
    ) -> pd.DataFrame:
        """Predict the time by which a share p has had the event, with limits.

        The limits are the quantiles of the limits of the survival curve.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, p)
            The table.
        p : float in (0, 1), default=0.5
            The share.
        strata : array-like of shape (n,), optional
            Stratum of each row; needed if the model was fitted with strata.
        level : float in (0, 1), default=0.95
            Coverage.

        Returns
        -------
        DataFrame of n rows
            The columns ``estimate``, ``lower`` and ``upper``; infinite where a curve
            does not fall so far.

        References
        ----------
        Brookmeyer & Crowley (1982), Biometrics 38, 29-41, doi:10.2307/2530286
        """
        owner = f"{type(self).__name__}.predict_quantile_interval"
        for name, value in (("p", p), ("level", level)):
            check_number(
                value, parameter=name, owner=owner, low=0, high=1, closed="neither"
            )
        rows, share = self._rows_of(X, strata), np.array([float(p)])
        lower, upper = self.curves_.quantile_limits(rows, self.exact_, share, level)
        estimate = self.curves_.quantile(rows, share)
        columns = {"estimate": estimate, "lower": lower, "upper": upper}
        values = {name: value[:, 0] for name, value in columns.items()}
        return pd.DataFrame(values, index=rows.frame.index)

    def predict_restricted_mean_interval(
        self, X: Any, horizon: float, strata: Any = None, *, level: float = 0.95
    ) -> pd.DataFrame:
        """Predict the mean time without the event up to a horizon, with limits.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, p)
            The table.
        horizon : float
            In the unit of the times.
        strata : array-like of shape (n,), optional
            Stratum of each row; needed if the model was fitted with strata.
        level : float in (0, 1), default=0.95
            Coverage.

        Returns
        -------
        DataFrame of n rows
            The columns ``estimate``, ``std err`` (delta method; for Cox models the
            baseline's part is in it), ``lower`` and ``upper``, within [0, horizon].
        """
        owner = f"{type(self).__name__}.predict_restricted_mean_interval"
        check_number(horizon, parameter="horizon", owner=owner, low=0, closed="right")
        check_number(
            level, parameter="level", owner=owner, low=0, high=1, closed="neither"
        )
        rows = self._rows_of(X, strata)
        estimate = self.curves_.restricted_mean(rows, float(horizon))
        error = self.curves_.restricted_mean_error(rows, self.exact_, float(horizon))
        half = float(critical_value(level, None, owner)) * error
        return pd.DataFrame(
            {
                "estimate": estimate,
                "std err": error,
                "lower": np.maximum(estimate - half, 0.0),
                "upper": np.minimum(estimate + half, horizon),
            },
            index=rows.frame.index,
        )
