"""Late fusion: several whole models, each with its own say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    StratifiedGroupKFold,
    StratifiedKFold,
    check_cv,
)
from sklearn.utils import Tags, get_tags

from semistruct._core.randomness import RandomState, spawn
from semistruct._core.surv import Surv
from semistruct._core.validation import check_choice, check_number
from semistruct.exceptions import DataError, ParameterError, TargetError

from . import _input
from ._late_members import (
    Rows,
    check_spoken,
    fit_clone,
    fit_member,
    presence,
    statements,
)
from ._late_pool import pool, simplex_weights
from ._late_predictions import LatePredictions, stacked_table
from ._late_tasks import (
    Curves,
    Labels,
    Numbers,
    Probabilities,
    Risks,
    Task,
    brier_times,
    event_times,
)
from ._survival import SemiStructuredSurvival

__all__ = ["LateFusion"]


class LateFusion(LatePredictions):
    """Late fusion: models of single modalities, fitted apart, that speak together.

    The members are all classifiers, all regressors or all survival estimators, and so
    is the fusion. Each is fitted to the rows in which it has something to read. At
    prediction, a member that reads a modality which a row lacks is left out for this
    row and the weights of the others are shared anew; a row about which no member can
    say anything is an error.

    Parameters
    ----------
    estimators : list of (str, estimator)
        The members by name, such as ``[("tab", est), ("img", est)]``.
    how : {"mean", "weighted", "vote", "stack"}, default="mean"
        How they are put together.

        - "mean": the mean of predictions, of class probabilities, or for survival of
          what ``average`` says.
        - "weighted": the same with weights >= 0 that add up to 1 and make the loss of
          the pool over held-out rows least: squared error, log-loss, for survival the
          integrated Brier score (curves) or the Cox partial likelihood (risks).
        - "vote": the class that most members predict; of several the first.
        - "stack": what members say about held-out rows is the table of a second
          learner, ``meta``. A member that is absent in a row has there the mean of the
          others.
    meta : estimator, optional
        The second learner of "stack", any of scikit-learn's. Default:
        ``LogisticRegression()``, ``RidgeCV()``, for survival a Cox model of the risks.
    cv : int, splitter or list of (train, test), default=5
        Held-out rows for "weighted" and "stack". An int makes shuffled folds,
        stratified by class or event; with groups (or the ``id`` of a `Surv`) none is
        torn.
    average : {"survival", "risk"}, default="survival"
        What survival members are asked for with "mean" and "weighted": survival curves,
        or risk scores, each standardised by its mean and standard deviation over the
        rows that its member was fitted to.
    random_state : int, Generator, RandomState or None, default=None
        Source of the shuffling of folds.

    Attributes
    ----------
    estimators_ : list of estimators
        The members, fitted to all rows.
    named_estimators_ : dict of str to estimator
        The same by name.
    weights_ : Series
        Weight of each member; not with "stack".
    meta_ : estimator
        The second learner; with "stack", and with "weighted" risks, where it is the Cox
        model that turns a pooled risk into a survival curve.
    losses_ : Series
        Loss of each member over the held-out rows and of all together ("weighted").
    classes_ : ndarray of shape (C,)
        The classes, for classifiers.

    Notes
    -----
    The weights are found by sequential quadratic programming on the simplex; Breiman
    (1996) has them for regression without the condition on their sum. The weighting and
    the second learner never see what a member says about a row that it was fitted to.

    References
    ----------
    Wolpert (1992), Neural Networks 5, 241-259, doi:10.1016/S0893-6080(05)80023-1;
    Breiman (1996), Machine Learning 24, 49-64, doi:10.1007/BF00117832

    Examples
    --------
    >>> import semistruct as ss
    >>> X, y = ss.datasets.load_rossi()
    >>> both = ss.LateFusion(
    ...     [
    ...         ("aid", ss.SemiStructuredSurvival("fin + wexp")),
    ...         ("record", ss.SemiStructuredSurvival("age + prio")),
    ...     ],
    ...     how="weighted", average="risk", random_state=0,
    ... ).fit(X, y)
    >>> both.weights_.round(1).to_dict()
    {'aid': 0.2, 'record': 0.8}
    """

    feature_names_in_: np.ndarray

    def __init__(
        self,
        estimators: Any,
        *,
        how: str = "mean",
        meta: Any = None,
        cv: Any = 5,
        average: str = "survival",
        random_state: RandomState = None,
    ) -> None:
        self.estimators = estimators
        self.how = how
        self.meta = meta
        self.cv = cv
        self.average = average
        self.random_state = random_state

    # -- fitting ------------------------------------------------------------------

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None
    ) -> LateFusion:
        """Fit the members, and what puts them together.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, p)
            One table for all members; each takes its columns by name.
        y : array-like of shape (n,), or Surv
            The target.
        sample_weight : array-like of shape (n,), optional
            Case weights, given to every member (and to ``meta``, if it takes them).
        groups : array-like of shape (n,), optional
            Labels that no split tears apart; for survival the ``id`` of ``y`` by
            default.

        Returns
        -------
        self

        Raises
        ------
        ParameterError, DataError, TargetError
            Naming what cannot be used, and what to do.
        """
        self._check_parameters()
        rows = self._rows(X, y, sample_weight, groups)
        task = self._task(rows.y)
        members = list(self.estimators)
        names = [name for name, _ in members]
        present = np.array([presence(e, rows.frame) for _, e in members])
        check_spoken(present, rows.frame, names)
        for name, there in zip(names, present, strict=True):
            if not there.any():
                raise DataError(
                    f"LateFusion: the member {name!r} has nothing to read: what it "
                    "reads is missing in every row. Leave it out."
                )
        self._fuse(task, rows, present)
        self.members_ = [
            fit_member(name, estimator, rows.take(there), task)
            for (name, estimator), there in zip(members, present, strict=True)
        ]
        self.task_ = task
        self.estimators_ = [m.estimator for m in self.members_]
        self.named_estimators_ = {m.name: m.estimator for m in self.members_}
        self.n_present_ = pd.Series(present.sum(axis=1), names, name="rows")
        if isinstance(task, Probabilities):
            self.classes_ = task.classes
        if isinstance(rows.y, Surv):
            self.times_ = event_times(rows.y)
        if isinstance(X, pd.DataFrame):
            self._learn_columns(X)
        return self

    def _learn_columns(self, X: pd.DataFrame) -> None:
        """Set ``n_features_in_`` and ``feature_names_in_``: what the members read."""
        read: set[Any] = set()
        for estimator in self.estimators_:
            read.update(getattr(estimator, "feature_names_in_", X.columns))
        columns = [c for c in X.columns if c in read]
        self.n_features_in_ = len(columns)
        if hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        if all(isinstance(c, str) for c in X.columns):
            self.feature_names_in_ = np.asarray(columns, dtype=object)

    def _check_parameters(self) -> None:
        self._check_members()
        owner = "LateFusion"
        kind = self._kind()
        ways = ["mean", "weighted", "vote", "stack"]
        check_choice(self.how, ways, parameter="how", owner=owner)
        kinds = ("survival", "risk")
        check_choice(self.average, kinds, parameter="average", owner=owner)
        if kind is None:
            raise ParameterError(
                parameter="estimators",
                owner=owner,
                allowed="all classifiers, all regressors or all survival estimators",
                given=[type(e).__name__ for _, e in self.estimators],
            )
        if self.how == "vote" and kind != "classifier":
            raise ParameterError(
                parameter="how",
                owner=owner,
                allowed=f"'mean', 'weighted' or 'stack' for a {kind}",
                given=self.how,
                hint="Votes are for classes.",
            )
        if not hasattr(self.cv, "split") and not isinstance(self.cv, list | tuple):
            check_number(self.cv, parameter="cv", owner=owner, low=2, integer=True)
        if self.meta is not None and not hasattr(self.meta, "fit"):
            raise ParameterError(
                parameter="meta",
                owner=owner,
                allowed="an estimator with fit and predict, or None",
                given=self.meta,
            )

    def _rows(self, X: Any, y: Any, sample_weight: Any, groups: Any) -> Rows:
        frame = _input.as_frame(self, X, reset=True)
        n = len(frame)
        weight = _input.check_weight(self, sample_weight, n)
        if self._kind() != "survival":
            target = _input.check_target_given(self, y, n)
            return Rows(frame, target, weight, _input.check_groups(groups, n))
        surv = Surv.coerce(y)
        if len(surv) != n:
            raise DataError(f"LateFusion: X has {n} rows, but y has {len(surv)}.")
        if weight is not None and surv.weights is not None:
            raise TargetError(
                "LateFusion: both sample_weight and the weights of y are given; give "
                "one."
            )
        if not surv.event.any():
            raise TargetError(f"LateFusion: y has no event: all {n} rows are censored.")
        if surv.cause is not None and len(surv.causes) > 1:
            raise TargetError(
                f"LateFusion: y has events of several causes, {surv.causes}. Give "
                "Surv(time, event & (cause == one)) for one of them."
            )
        groups = surv.id if groups is None else groups
        return Rows(frame, surv, weight, _input.check_groups(groups, n))

    def _task(self, y: Any) -> Task:
        kind = self._kind()
        if kind == "regressor":
            return Numbers(y)
        if kind == "classifier":
            return Labels(y) if self.how == "vote" else Probabilities(y)
        if self.how == "stack" or self.average == "risk":
            return Risks(y)
        return Curves(y, brier_times(y) if self.how == "weighted" else event_times(y))

    def _fuse(self, task: Task, rows: Rows, present: np.ndarray) -> None:
        """Learn weights or the second learner; sets ``weights_`` or ``meta_``."""
        for name in ("weights_", "losses_", "meta_"):  # of another ``how``
            if hasattr(self, name):
                delattr(self, name)
        names = [name for name, _ in self.estimators]
        if self.how in ("mean", "vote"):
            self.weights_ = pd.Series(1.0 / len(names), names, name="weight")
            return
        said, at = self._held_out(task, rows, present)
        present, held = present[:, at], rows.take(at)
        if self.how == "stack":
            meta = task.default_meta() if self.meta is None else self.meta
            table = stacked_table(task, names, said, present, held.frame.index)
            self.meta_ = fit_clone("meta", meta, replace(held, frame=table))
            return
        weight = simplex_weights(said, present, lambda f: task.loss(f, at, held.weight))
        self.weights_ = pd.Series(weight, names, name="weight")
        self.losses_ = pd.Series(
            {
                name: task.loss(
                    said[m, there],
                    at[there],
                    None if held.weight is None else held.weight[there],
                )[0]
                for m, (name, there) in enumerate(zip(names, present, strict=True))
            }
            | {"together": task.loss(pool(said, present, weight), at, held.weight)[0]},
            name=task.loss_name,
        )
        if isinstance(task, Risks):
            risk = pd.DataFrame({"risk": pool(said, present, weight)[:, 0]})
            model = SemiStructuredSurvival("risk")
            self.meta_ = fit_clone("risk", model, replace(held, frame=risk))

    def _held_out(
        self, task: Task, rows: Rows, present: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Ask about held-out rows; give statements (M, r, d) and the rows (r,)."""
        heard, asked = [], []
        for train, test in self._splits(rows):
            train_rows, test_frame = rows.take(train), rows.frame.iloc[test]
            members = []
            for (name, estimator), there in zip(self.estimators, present, strict=True):
                own = there[train]
                if not own.any():
                    raise DataError(
                        f"LateFusion: the member {name!r} has nothing to read in a "
                        "fold. Take fewer folds (cv=), or leave it out."
                    )
                members.append(fit_member(name, estimator, train_rows.take(own), task))
            heard.append(statements(members, task, test_frame, present[:, test]))
            asked.append(test)
        return np.concatenate(heard, axis=1), np.concatenate(asked)

    def _splits(self, rows: Rows) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Give the folds as positions of training rows and of held-out rows."""
        y = rows.y.event if isinstance(rows.y, Surv) else rows.y
        labels = np.unique(y, return_inverse=True)[1]
        splitter: Any = self.cv
        if isinstance(splitter, list | tuple):
            splitter = check_cv(splitter)
        if not hasattr(splitter, "split"):
            tear = rows.groups is None
            if self._kind() == "regressor":
                kind: Any = KFold if tear else GroupKFold
            else:
                kind = StratifiedKFold if tear else StratifiedGroupKFold
            (seed,) = spawn(self.random_state, 1)
            splitter = kind(self.cv, shuffle=True, random_state=seed)
        blank = np.zeros((len(rows), 1))
        target = rows.y if self._kind() == "regressor" else labels
        try:
            yield from splitter.split(blank, target, rows.groups)
        except ValueError as error:
            raise DataError(f"LateFusion: cv={self.cv!r} cannot split: {error}") from (
                error
            )

    # -- scikit-learn -------------------------------------------------------------

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        pairs = self._pairs()
        if pairs:
            inner = [get_tags(e) for _, e in pairs]
            kinds = {t.estimator_type for t in inner}
            if len(kinds) == 1:
                tags.estimator_type = inner[0].estimator_type
                tags.classifier_tags = inner[0].classifier_tags
                tags.regressor_tags = inner[0].regressor_tags
                tags.target_tags = inner[0].target_tags
                tags.target_tags.multi_output = False
            tags.non_deterministic = any(t.non_deterministic for t in inner)
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "members_")
