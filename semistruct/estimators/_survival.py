"""Semi-structured survival analysis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from semistruct._core.randomness import RandomState
from semistruct._core.step import StepFunction
from semistruct._core.surv import Surv
from semistruct._core.validation import check_choice
from semistruct.engine import Training
from semistruct.exceptions import DataError, TargetError
from semistruct.metrics import CensoringDistribution, concordance_index

from ._base import SemiStructuredEstimator
from ._cox_head import CoxCurves
from ._heads import Head
from ._state import register
from ._survival_models import SurvivalModel, resolve_model
from ._survival_predictions import SurvivalPredictions

__all__ = ["SemiStructuredSurvival"]


@register
class SemiStructuredSurvival(SurvivalPredictions, SemiStructuredEstimator):
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
        self.curves_ = self._model.make_curves(head, fitted)
        return self

    @property
    def _model(self) -> SurvivalModel:
        return resolve_model(self.head, type(self).__name__, ties=self.ties)

    @property
    def baseline_(self) -> dict[Any, StepFunction]:
        """Cumulative baseline hazard of each stratum, where the predictor is 0."""
        check_is_fitted(self, "predictor_")
        if not isinstance(self.curves_, CoxCurves):
            raise AttributeError(f"head={self.head!r} has no baseline hazard.")
        return self.curves_.baseline()

    def _check_parameters(self) -> None:
        super()._check_parameters()
        owner = type(self).__name__
        check_choice(self.ties, ("efron", "breslow"), parameter="ties", owner=owner)
        resolve_model(self.head, owner, ties=self.ties)

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
        name = type(self).__name__
        if weight is not None and y.weights is not None:
            raise TargetError(
                f"{name}: both sample_weight and the weights of y are given; give one."
            )
        weight = y.weights if weight is None else weight
        head = self._model.make_head(y, weight, formulas, name)
        self.n_events_ = int(y.event.sum())
        self.censoring_ = CensoringDistribution.fit(y)
        return head

    @property
    def _ratio(self) -> str | None:  # type: ignore[override]
        return self._model.ratio

    def _likelihood_kind(self) -> str:
        return self._model.title

    def _title(self) -> str:
        return f"{type(self).__name__}: {self._model.title}"

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
