"""Semi-structured survival analysis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from semistruct._core.randomness import RandomState
from semistruct._core.step import StepFunction
from semistruct._core.surv import Surv
from semistruct._core.validation import check_choice
from semistruct.engine import Training
from semistruct.exceptions import DataError, TargetError
from semistruct.inference import restricted_mean, survival_quantile
from semistruct.metrics import CensoringDistribution, concordance_index
from semistruct.solvers import baseline_hazard

from ._base import SemiStructuredEstimator
from ._heads import CoxHead, Head
from ._state import register

__all__ = ["SemiStructuredSurvival"]


@register
class SemiStructuredSurvival(SemiStructuredEstimator):
    """Survival analysis on a table and on images or omics.

    The Cox head: λ(t | x) = λ₀(t) exp(η), η = Xβ + Σ smooths + Σ d_m(u_m), by the
    partial likelihood. Everything else is as in `SemiStructuredRegressor`.

    Parameters
    ----------
    terms : str, list of Term or None, default=None
        The predictor, such as ``"age + C(stage) + s(bmi) + image(scan)"``; None is
        every column linear. There is no intercept: the baseline hazard takes its place.
    head : {"cox"}, default="cox"
        The survival model.
    ties : {"efron", "breslow"}, default="efron"
        Treatment of tied event times.
    encoders : dict of str to Encoder, torch.nn.Module or str, optional
        Encoder of each deep term, by its column.
    orthogonalize : {"global", "none"}, default="global"
        Whether structured columns are taken out of the deep terms.
    training : Training, optional
        How deep terms are trained.
    missing : {"error", "drop"}, default="error"
        What fit does with rows that lack a structured column or y.
    random_state : int, Generator, RandomState or None, default=None
        Source of the split, of initial weights, order and dropout.
    progress : bool, default=False
        Whether to show a progress bar on stderr.

    Attributes
    ----------
    coef_ : ndarray of shape (p,)
        Log hazard ratios.
    cov_params_ : DataFrame of shape (p, p)
        Their covariance.
    baseline_ : dict of label to StepFunction
        Cumulative baseline hazard, where the linear predictor is 0, for each stratum
        (the only label is None without strata).
    censoring_ : CensoringDistribution
        Kaplan-Meier curve of the censoring, which metrics of held-out rows need.
    history_ : DataFrame
        A row for each epoch; empty without deep terms.

    References
    ----------
    Cox (1972), JRSS B 34, 187-220, doi:10.1111/j.2517-6161.1972.tb00899.x; Efron
    (1977), JASA 72, 557-565, doi:10.1080/01621459.1977.10480613

    Examples
    --------
    >>> import semistruct as ss
    >>> X, y = ss.datasets.load_rossi()
    >>> model = ss.SemiStructuredSurvival("fin + age + prio").fit(X, y)
    >>> model.coef_.round(3)
    array([-0.347, -0.067,  0.097])
    """

    def __init__(
        self,
        terms: Any = None,
        *,
        head: str = "cox",
        ties: str = "efron",
        encoders: Mapping[str, Any] | None = None,
        orthogonalize: str = "global",
        training: Training | None = None,
        missing: str = "error",
        random_state: RandomState = None,
        progress: bool = False,
    ) -> None:
        self.terms = terms
        self.head = head
        self.ties = ties
        self.encoders = encoders
        self.orthogonalize = orthogonalize
        self.training = training
        self.missing = missing
        self.random_state = random_state
        self.progress = progress

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None
    ) -> SemiStructuredSurvival:
        """Fit the model.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, p)
            The table.
        y : Surv, structured array, or array-like of shape (n,)
            Times and events; numbers alone are uncensored times.
        sample_weight : array-like of shape (n,), optional
            Case weights, >= 0; not together with weights in ``y``.
        groups : array-like of shape (n,), optional
            Labels that the split for early stopping does not tear apart; the default is
            the ``id`` of ``y``.

        Returns
        -------
        self

        Raises
        ------
        FormulaError, ColumnError, DataError, ImageError, TargetError, ParameterError
            Naming what cannot be used, and what to do.
        """
        head, fitted = self._fit(X, y, sample_weight, groups)
        assert isinstance(head, CoxHead)
        self._learn_baseline(head, fitted.exact.linear_predictor[:, 0])
        return self

    def _learn_baseline(self, head: CoxHead, eta: np.ndarray) -> None:
        shift = float(eta.mean())  # exp() of a far predictor would overflow
        hazards = baseline_hazard(
            eta - shift,
            head.y.time,
            head.y.event,
            entry=head.y.entry,
            strata=head.y.strata,
            sample_weight=head.weight,
            ties=self.ties,
        )
        self._shift = shift
        self._hazards = {
            label: StepFunction(times, hazard, before=0.0)
            for label, (times, hazard) in hazards.items()
        }
        self.n_events_ = int(head.y.event.sum())
        self.censoring_ = CensoringDistribution.fit(head.y)

    @property
    def baseline_(self) -> dict[Any, StepFunction]:
        """Cumulative baseline hazard of each stratum, where the predictor is 0."""
        factor = np.exp(-self._shift)
        return {
            label: StepFunction(h.times, h.values * factor, before=0.0)
            for label, h in self._hazards.items()
        }

    def _check_parameters(self) -> None:
        super()._check_parameters()
        owner = type(self).__name__
        check_choice(self.head, ("cox",), parameter="head", owner=owner)
        check_choice(self.ties, ("efron", "breslow"), parameter="ties", owner=owner)

    def _check_y(self, y: Any, n: int) -> Any:
        name = type(self).__name__
        if isinstance(y, Surv) or getattr(getattr(y, "dtype", None), "names", None):
            surv = Surv.coerce(y)
            if len(surv) != n:
                raise DataError(f"{name}: X has {n} rows, but y has {len(surv)}.")
            return surv
        return Surv.coerce(super()._check_y(y, n))

    def _make_head(
        self,
        y: Any,
        weight: np.ndarray | None,
        var_weight: np.ndarray | None,
        formulas: list[str | None],
    ) -> Head:
        self._only_formula(formulas)
        name = type(self).__name__
        if weight is not None and y.weights is not None:
            raise TargetError(
                f"{name}: both sample_weight and the weights of y are given; give one."
            )
        if y.cause is not None and len(y.causes) > 1:
            raise TargetError(
                f"{name}: y has events of several causes, {y.causes}. For the hazard "
                "of one give Surv(time, event & (cause == one)); for that of any "
                "event give Surv(time, event)."
            )
        weight = y.weights if weight is None else weight
        seen = y.event if weight is None else y.event & (weight > 0)
        if not seen.any():
            raise TargetError(
                f"{name}: y has no event: all {len(y)} rows are censored, so a Cox "
                "model has nothing to learn from. Check how the event is coded."
            )
        return CoxHead(y, self.ties, weight)

    def predict(self, X: Any) -> np.ndarray:
        """Predict the log hazard ratio against a row whose linear predictor is 0.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, p)
            The table; a modality that it lacks, or a null cell, contributes 0.

        Returns
        -------
        ndarray of shape (n,)
            Higher for an earlier event.
        """
        return self._linear_predictor(X)[:, 0]

    def predict_cumulative_hazard_function(
        self, X: Any, strata: Any = None
    ) -> StepFunction:
        """Predict the cumulative hazard Λ(t | x) = Λ₀(t) exp(η).

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, p)
            The table.
        strata : array-like of shape (n,), optional
            Stratum of each row; needed if the model was fitted with strata.

        Returns
        -------
        StepFunction
            n functions of time.
        """
        frame = self._frame(X)
        eta = self.predictor_.linear_predictor(frame)[:, 0]
        labels = self._strata(strata, len(frame))
        times = np.unique(np.concatenate([h.times for h in self._hazards.values()]))
        values = np.empty((len(frame), len(times)))
        for label, hazard in self._hazards.items():
            rows = [x == label for x in labels]
            values[rows] = hazard(times)
        values *= np.exp(eta - self._shift)[:, None]
        return StepFunction(times, values, before=0.0, index=frame.index)

    def predict_survival_function(self, X: Any, strata: Any = None) -> StepFunction:
        """Predict the survival function S(t | x) = exp(−Λ(t | x)).

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, p)
            The table.
        strata : array-like of shape (n,), optional
            Stratum of each row; needed if the model was fitted with strata.

        Returns
        -------
        StepFunction
            n functions of time; ``.to_frame()`` gives a DataFrame.
        """
        hazard = self.predict_cumulative_hazard_function(X, strata)
        values = np.exp(-hazard.values)
        return StepFunction(hazard.times, values, before=1.0, index=hazard.index)

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
        return survival_quantile(self.predict_survival_function(X, strata), p)

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
        return restricted_mean(self.predict_survival_function(X, strata), horizon)

    _ratio = "hazard ratio"

    def _likelihood_kind(self) -> str:
        return f"Cox, {self.ties}"

    def _title(self) -> str:
        return f"{type(self).__name__}: Cox, {self.ties.capitalize()}'s ties"

    def _strata(self, strata: Any, n: int) -> list[Any]:
        known = list(self._hazards)
        if known == [None]:
            return [None] * n
        if strata is None:
            raise DataError(
                f"{type(self).__name__}: the model has strata, so a survival function "
                f"needs strata=, one of {known} for each row."
            )
        labels = np.asarray(strata).tolist()
        if len(labels) != n:
            raise DataError(f"strata has {len(labels)} rows, but X has {n}.")
        for row, label in enumerate(labels):
            if label not in known:
                raise DataError(
                    f"strata: row {row} is in stratum {label!r}, which was not there "
                    f"in fit; known are {known}."
                )
        return labels

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Give Harrell's concordance index of the predicted risk.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, p)
            The table.
        y : Surv, structured array, or array-like of shape (n,)
            Times and events.
        sample_weight : array-like of shape (n,), optional
            Case weights, >= 0; not together with weights in ``y``.

        Returns
        -------
        float
            In [0, 1]; .5 for a constant prediction.
        """
        target = self._check_y(y, len(X))
        return concordance_index(target, self.predict(X), sample_weight=sample_weight)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.positive_only = True
        return tags
