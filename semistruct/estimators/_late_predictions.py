"""What a fitted late fusion predicts, and what each member says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from semistruct._core.step import StepFunction
from semistruct._core.surv import Surv
from semistruct.exceptions import DataError, ParameterError
from semistruct.metrics import concordance_index

from . import _input
from ._late_members import Member, check_spoken, presence, statements, take
from ._late_params import MemberParams
from ._late_pool import fill_absent, pool, row_weights
from ._late_tasks import Curves, Task, curves_of, restricted_means
from ._summary import Summary

__all__ = ["LatePredictions", "stacked_table"]


def _for(kind: str) -> Any:
    return available_if(lambda self: self._kind() == kind)


class LatePredictions(MemberParams):
    """Predictions of a late fusion; a part of it."""

    how: str
    average: str
    task_: Task
    members_: list[Member]
    weights_: pd.Series
    losses_: pd.Series
    n_present_: pd.Series
    classes_: np.ndarray
    meta_: Any
    times_: np.ndarray

    def _kind(self) -> str | None:
        """Give "classifier", "regressor" or "survival"; None where members differ."""
        kinds = {get_tags(e).estimator_type for _, e in self._pairs()}
        if len(kinds) != 1:
            return None
        (kind,) = kinds
        return {None: "survival"}.get(kind, kind)

    # -- predictions --------------------------------------------------------------

    def predict(self, X: Any) -> np.ndarray:
        """Predict the mean, the class or, for survival, a risk score.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, p)
            The table. In a row that lacks what a member reads, the member is left out.

        Returns
        -------
        ndarray of shape (n,)
            The risk is the mean of standardised risks, the prediction of ``meta_``, or,
            with survival curves, minus the mean time without the event up to the last
            event time of fit. It is higher for an earlier event.

        Raises
        ------
        DataError
            If no member can say anything about a row.
        """
        frame, present = self._asked(X)
        if self._kind() == "classifier" and self.how != "stack":
            return self.classes_[self._pooled(frame, present).argmax(axis=1)]
        if self.how == "stack":
            return np.asarray(self.meta_.predict(self._table(frame, present)))
        if isinstance(self.task_, Curves):
            curves = self._curves(frame, present, self.times_, None)
            return -restricted_means(self.times_, curves)
        return self._pooled(frame, present)[:, 0]

    @_for("classifier")
    def predict_proba(self, X: Any) -> np.ndarray:
        """Predict the probability of each class; with "vote" the share of the votes.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, p)
            The table.

        Returns
        -------
        ndarray of shape (n, C)
            Columns in the order of ``classes_``.
        """
        frame, present = self._asked(X)
        if self.how == "stack":
            return np.asarray(self.meta_.predict_proba(self._table(frame, present)))
        return self._pooled(frame, present)

    @_for("survival")
    def predict_survival_function(
        self, X: Any, strata: Any = None, *, times: Any = None
    ) -> StepFunction:
        """Predict the survival function S(t | x).

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, p)
            The table.
        strata : array-like of shape (n,), optional
            Stratum of each row; needed if the members were fitted with strata.
        times : array-like of shape (m,), optional
            Where the functions are evaluated; by default the event times of fit, at
            most 500.

        Returns
        -------
        StepFunction
            n functions of time: the weighted mean of the members' curves; with risks
            and with "stack" that of a Cox model of them.
        """
        frame, present = self._asked(X)
        if isinstance(self.task_, Curves):
            at = self._times(times)
            curves = self._curves(frame, present, at, strata)
            return StepFunction(at, curves, before=1.0, index=frame.index)
        if self.how == "stack":
            table = self._table(frame, present)
        elif self.how == "weighted":
            risk = self._pooled(frame, present)[:, 0]
            table = pd.DataFrame({"risk": risk}, index=frame.index)
        else:
            raise ParameterError(
                parameter="average",
                owner="LateFusion.predict_survival_function",
                allowed="'survival' with how='mean'",
                given=self.average,
                hint="A mean of risks has no baseline hazard; how='weighted' and "
                "how='stack' learn one from held-out rows.",
            )
        return self.meta_.predict_survival_function(table, strata, times=times)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Give the accuracy, R², or for survival Harrell's concordance index.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, p)
            The table.
        y : array-like of shape (n,), or Surv
            The target.
        sample_weight : array-like of shape (n,), optional
            Weights of the rows.

        Returns
        -------
        float
        """
        said = self.predict(X)
        if self._kind() == "survival":
            target = Surv.coerce(y)
            return concordance_index(target, said, sample_weight=sample_weight)
        measure = r2_score if self._kind() == "regressor" else accuracy_score
        return float(measure(y, said, sample_weight=sample_weight))

    # -- what each member says ----------------------------------------------------

    def contributions(self, X: Any) -> pd.DataFrame:
        """Give what each member says about each row.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, p)
            The table.

        Returns
        -------
        DataFrame of n rows
            A column for each member: its prediction; the probability of the second
            class, with more classes the columns (member, class); for survival the
            standardised risk, or the mean time without the event up to the last of the
            times that curves are compared at. NaN where the member is left out.
        """
        frame, present = self._asked(X)
        said = statements(self.members_, self.task_, frame, present)
        parts: dict[Any, np.ndarray] = {}
        for m, member in enumerate(self.members_):
            shown = np.where(present[m][:, None], self.task_.shown(said[m]), np.nan)
            names: list[Any] = [member.name]
            if shown.shape[1] > 1:
                names = [(member.name, label) for label in self.classes_]
            parts |= dict(zip(names, shown.T, strict=True))
        return pd.DataFrame(parts, index=frame.index)

    def member_weights(self, X: Any) -> pd.DataFrame:
        """Give the weight of each member in each row.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, p)
            The table.

        Returns
        -------
        DataFrame of n rows
            A column for each member; rows add up to 1, and a member that is left out
            has 0.
        """
        frame, present = self._asked(X)
        if self.how == "stack":
            raise ParameterError(
                parameter="how",
                owner="LateFusion.member_weights",
                allowed="'mean', 'weighted' or 'vote'",
                given=self.how,
                hint="The second learner is meta_.",
            )
        share = row_weights(present, self.weights_.to_numpy())
        return pd.DataFrame(share.T, frame.index, list(self.weights_.index))

    def summary(self) -> Summary:
        """Summarise the fusion: its members, their rows, weights and losses.

        Returns
        -------
        Summary
            ``.coefficients`` has a row for each member.
        """
        check_is_fitted(self)
        names = [m.name for m in self.members_]
        kinds = [type(m.estimator).__name__ for m in self.members_]
        table = pd.DataFrame({"estimator": kinds}, index=names)
        table["rows"] = self.n_present_.to_numpy()
        notes = []
        if self.how != "stack":
            table["weight"] = self.weights_.to_numpy()
        if hasattr(self, "losses_"):
            table[self.losses_.name] = self.losses_[names].to_numpy()
            notes.append(
                "Weights and losses are of held-out rows; together the members have a "
                f"{self.losses_.name} of {self.losses_['together']:.4g}."
            )
        if hasattr(self.meta_ if self.how == "stack" else None, "coef_"):
            coef = np.atleast_2d(self.meta_.coef_)
            if coef.shape == (1, len(names)):
                table["coef"] = coef[0]
                notes.append("The coefficients are those of the second learner.")
        return Summary(
            title=f"LateFusion: {self.how}, {self._kind()}",
            formula=" | ".join(names),
            statistics={"Members": len(names)},
            coefficients=table,
            smooths=pd.DataFrame(),
            deep=pd.DataFrame(),
            notes=tuple(notes),
        )

    # -- parts --------------------------------------------------------------------

    def _asked(self, X: Any) -> tuple[pd.DataFrame, np.ndarray]:
        """Check a table; give it with where each member is present, (M, n)."""
        check_is_fitted(self)
        frame = _input.as_frame(self, X, reset=False)
        present = np.array([presence(m.estimator, frame) for m in self.members_])
        check_spoken(present, frame, [m.name for m in self.members_])
        return frame, present

    def _pooled(self, frame: pd.DataFrame, present: np.ndarray) -> np.ndarray:
        said = statements(self.members_, self.task_, frame, present)
        return pool(said, present, self.weights_.to_numpy())

    def _table(self, frame: pd.DataFrame, present: np.ndarray) -> pd.DataFrame:
        said = statements(self.members_, self.task_, frame, present)
        names = [m.name for m in self.members_]
        return stacked_table(self.task_, names, said, present, frame.index)

    def _curves(
        self, frame: pd.DataFrame, present: np.ndarray, times: np.ndarray, strata: Any
    ) -> np.ndarray:
        """Pool the members' curves at some times, (n, m)."""
        labels = None if strata is None else np.asarray(strata)
        if labels is not None and labels.shape != (len(frame),):
            raise DataError(f"strata has {len(labels)} rows, but X has {len(frame)}.")
        said = np.zeros((*present.shape, len(times)))
        for m, (member, there) in enumerate(zip(self.members_, present, strict=True)):
            if there.any():
                own = None if labels is None else labels[there]
                rows = take(frame, there)
                said[m, there] = curves_of(
                    member.estimator, rows, times, member.name, own
                )
        return pool(said, present, self.weights_.to_numpy())

    def _times(self, times: Any) -> np.ndarray:
        """Check the times asked for; those of fit where there are none."""
        if times is None:
            return self.times_
        try:
            asked = np.unique(np.asarray(times, dtype=np.float64))
        except (TypeError, ValueError):
            asked = np.array([np.nan])
        if not len(asked) or not np.isfinite(asked).all() or asked[0] < 0:
            raise ParameterError(
                parameter="times",
                owner="LateFusion",
                allowed="finite numbers >= 0",
                given=times,
            )
        return asked


def stacked_table(
    task: Task,
    names: Sequence[str],
    said: np.ndarray,
    present: np.ndarray,
    index: pd.Index,
) -> pd.DataFrame:
    """Give what members say (M, n, d) as the table of a second learner."""
    filled = [task.stacked(said_m) for said_m in fill_absent(said, present)]
    width = filled[0].shape[1]
    columns = list(names)
    if width > 1:
        columns = [f"{name}_{k}" for name in names for k in range(1, width + 1)]
    return pd.DataFrame(np.hstack(filled), index=index, columns=columns)
