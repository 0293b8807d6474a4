"""Semi-structured survival analysis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from semistruct._core.randomness import RandomState
from semistruct._core.step import StepFunction
from semistruct._core.surv import Surv
from semistruct._core.terms import Linear
from semistruct._core.validation import check_choice
from semistruct.engine import Training
from semistruct.exceptions import DataError, TargetError
from semistruct.metrics import (
    CensoringDistribution,
    cause_concordance,
    concordance_index,
)

from ._base import SemiStructuredEstimator
from ._cox_curves import CoxCurves
from ._event_split import EventSplit
from ._heads import Head
from ._state import register
from ._survival_model import SurvivalModel, check_strata
from ._survival_predictions import SurvivalPredictions
from ._survival_registry import resolve_model

__all__ = ["SemiStructuredSurvival"]


@register
class SemiStructuredSurvival(SurvivalPredictions, SemiStructuredEstimator):
    """Survival analysis on a table and on images or omics.

    With η = Xβ + Σ smooths + Σ d_m(u_m), the Cox head is λ(t | x) = λ₀(t) exp(η), by
    the partial likelihood. Events of several causes have a hazard, and coefficients, of
    each. Everything else is as in `SemiStructuredRegressor`.

    Parameters
    ----------
    terms : str, list of Term or None, default=None
        The predictor, such as ``"age + C(stage) + s(bmi) + image(scan)"``; None is
        every column linear. A Cox model has no intercept: the baseline hazard takes its
        place. A dict gives a formula to each cause, or to ``"loc"`` and ``"scale"`` of
        accelerated failure times.
    head : str or object of `semistruct.heads`, default="cox"
        The survival model: ``"cox"``; ``"pamm"``, piecewise exponential, with effects
        that vary over time; ``"discrete"``, intervals of time; accelerated failure
        times ``"weibull"``, ``"lognormal"``, ``"loglogistic"``, ``"exponential"``,
        which take interval censoring. Objects such as ``heads.PAMM(cuts=50)`` or
        ``heads.FineGray(cause="relapse")`` carry options.
    ties : {"efron", "breslow"}, default="efron"
        Treatment of tied event times in Cox models; `heads.FineGray` has its own.
    firth : bool, default=False
        Whether to add Jeffreys' prior to the partial likelihood of a Cox model without
        smooths: estimates stay finite where the likelihood is monotone.
    covariance : {"model", "robust"}, default="model"
        Of Cox coefficients: the inverse information, or Lin and Wei's sandwich; rows of
        an ``id`` of y are one cluster.
    encoders : dict of str to Encoder, torch.nn.Module or str, optional
        Encoder of each deep term, by its column.
    orthogonalize : {"global", "batch", "post_hoc", "none"}, default="global"
        How structured columns are taken out of the deep terms: once, over all rows of
        fit; in each batch of training too (the paper's cell); after the fit, with
        predictions unchanged; or not.
    strategy : {"joint", "two_stage", "backfit"}, default="joint"
        The structured part is fitted before the deep terms and again beside them
        ("joint"); before them only ("two_stage"); or in turns with them ("backfit").
    inference : str, `CrossFit` or `Bootstrap`, default="conditional"
        What standard errors know of the deep terms: nothing ("conditional"); their last
        layer, a ridge block of the same fit ("last_layer"); that they were learned, by
        networks that saw other rows ("cross_fit") or by refits of everything
        ("bootstrap").
    estimand : {"projection", "adjusted"}, default="projection"
        A coefficient is the effect of its covariate without adjustment for the deep
        terms, or at fixed deep features (gaussian, with ``inference="cross_fit"``).
    modality_dropout : float or dict of str to float, default=0.0
        Probability in [0, 1) that a deep term is left out of a row in training, for all
        or by its name; one of a row always stays. For the terms within ``fuse()`` it
        has an option of its own.
    training : Training, optional
        How deep terms are trained.
    missing : {"error", "drop", "indicator"}, default="error"
        Rows that lack a structured column or y: an error; left out of fit; or filled
        (numbers by the mean) and marked by a column ``<name>_missing``, factors by a
        level of their own, in fit and prediction.
    random_state : int, Generator, RandomState or None, default=None
        Source of the split, of initial weights, order and dropout.
    progress : bool, default=False
        Whether to show a progress bar on stderr.

    Attributes
    ----------
    coef_ : ndarray of shape (p,)
        Coefficients; log hazard ratios with ``"cox"``.
    cov_params_ : DataFrame of shape (p, p)
        Their covariance.
    baseline_ : dict of label to StepFunction
        With ``"cox"``: the cumulative baseline hazard, where the linear predictor is 0,
        for each stratum (the only label is None without strata); with competing risks
        for each pair (cause, stratum).
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
        firth: bool = False,
        covariance: str = "model",
        encoders: Mapping[str, Any] | None = None,
        orthogonalize: str = "global",
        strategy: str = "joint",
        inference: Any = "conditional",
        estimand: str = "projection",
        modality_dropout: float | Mapping[str, float] = 0.0,
        training: Training | None = None,
        missing: str = "error",
        random_state: RandomState = None,
        progress: bool = False,
    ) -> None:
        self.terms = terms
        self.head = head
        self.ties = ties
        self.firth = firth
        self.covariance = covariance
        self.encoders = encoders
        self.orthogonalize = orthogonalize
        self.strategy = strategy
        self.inference = inference
        self.estimand = estimand
        self.modality_dropout = modality_dropout
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
        assert isinstance(head, EventSplit)
        self.curves_ = self._model.make_curves(head, fitted)
        del fitted
        self.n_events_ = head.n_events
        self.likelihood_digest_ = head.likelihood_digest()
        self.censoring_ = CensoringDistribution.fit(_seen_by(head.surv, head.weight))
        return self

    @property
    def _model(self) -> SurvivalModel:
        options = {
            "ties": self.ties,
            "firth": self.firth,
            "covariance": self.covariance,
        }
        return resolve_model(self.head, type(self).__name__, **options)

    @property
    def baseline_(self) -> dict[Any, StepFunction]:
        """Cumulative baseline hazard of each stratum, where the predictor is 0.

        With competing risks the keys are pairs (cause, stratum).
        """
        check_is_fitted(self, "predictor_")
        if not isinstance(self.curves_, CoxCurves):
            raise AttributeError(f"head={self.head!r} has no baseline hazard.")
        return self.curves_.baseline()

    def _check_parameters(self) -> None:
        super()._check_parameters()
        owner = type(self).__name__
        check_choice(self.ties, ("efron", "breslow"), parameter="ties", owner=owner)
        _ = self._model

    def _formulas(
        self, formulas: dict[Any, Any], columns: Sequence[str], y: Any = None
    ) -> dict[Any, Any]:
        return self._model.formulas(formulas, (Linear("1"),), columns, y)

    def _provided(self) -> tuple[str, ...]:
        return self._model.provides

    def _check_y(self, y: Any, n: int) -> Any:
        name = type(self).__name__
        if isinstance(y, Surv) or getattr(getattr(y, "dtype", None), "names", None):
            surv = Surv.coerce(y, interval=self._model.interval)
            if len(surv) != n:
                raise DataError(f"{name}: X has {n} rows, but y has {len(surv)}.")
            check_strata(surv, name)
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
        return self._model.make_head(y, weight, formulas, name)

    @property
    def _ratio(self) -> str | None:  # type: ignore[override]
        return self._model.ratio

    @property
    def _ratio_of(self) -> str | None:  # type: ignore[override]
        one = len(self.predictor_.predictors) == 1  # exponential times: of the location
        return None if one else self._model.ratio_of

    def _likelihood_kind(self) -> str:
        return self._model.likelihood

    def _title(self) -> str:
        return f"{type(self).__name__}: {self._model.title}"

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Give the concordance index of the predicted risk.

        Harrell's; with competing risks Wolbers', the mean over the causes of the model.

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
        risk = self.predict(X)
        causes = self.curves_.causes
        if not causes:
            return concordance_index(target, risk, sample_weight=sample_weight)
        columns = np.reshape(risk, (len(target), len(causes))).T
        found = [
            cause_concordance(
                self.censoring_, target, own, cause=cause, sample_weight=sample_weight
            ).estimate
            for cause, own in zip(causes, columns, strict=True)
        ]
        return float(np.mean(found))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.positive_only = True
        return tags


def _seen_by(y: Surv, weight: np.ndarray | None) -> Surv:
    """Give a target with case weights whose events are exact: where they were seen."""
    ends = y.time if y.upper is None else np.where(y.event, y.upper, y.time)
    return Surv(ends, y.event, entry=y.entry, weights=weight)
