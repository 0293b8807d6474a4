"""Scorers for cross-validation and grid search."""

from __future__ import annotations

from typing import Any

import numpy as np

from semistruct._core.surv import Surv
from semistruct._core.validation import check_choice, suggest
from semistruct.exceptions import DataError, ParameterError

from ._auc import cumulative_dynamic_auc
from ._brier import brier_score, negative_binomial_log_likelihood
from ._censoring import CensoringDistribution
from ._competing import cause_concordance
from ._competing_brier import integrated_cause_brier_score
from ._concordance import TIES, antolini, harrell, uno

__all__ = ["Scorer", "scorer"]

_OPTIONS = {
    "harrell": {"ties"},
    "uno": {"tau", "ties", "ipcw"},
    "antolini": {"ties"},
    "ibs": {"times", "ipcw"},
    "nbll": {"times", "ipcw"},
    "auc": {"times", "ipcw"},
    "cause_concordance": {"cause", "tau", "ties", "ipcw"},
    "cause_ibs": {"cause", "times", "ipcw"},
}


class Scorer:
    """A callable ``scorer(estimator, X, y)``; made by `scorer`.

    Parameters
    ----------
    name : str
        Name of the measure.
    options : dict
        What was fixed.
    """

    def __init__(self, name: str, options: dict[str, Any]) -> None:
        self.name = name
        self.options = options

    def __call__(self, estimator: Any, X: Any, y: Any) -> float:
        """Score an estimator on rows that it was not fitted to; higher is better."""
        y = Surv.coerce(y)
        options = dict(self.options)
        if self.name == "harrell":
            return float(harrell(y, estimator.predict(X), **options))
        if self.name == "antolini":
            return float(antolini(y, _curves(estimator, X, y), **options))
        censoring = _censoring(estimator, self.name)
        if self.name == "uno":
            if options.get("tau") is None:
                options["tau"] = float(censoring.default_times()[-1])
            return float(uno(censoring, y, estimator.predict(X), **options))
        if self.name == "cause_concordance":
            tau = options.setdefault("tau", float(censoring.default_times()[-1]))
            risk = _incidence(estimator, X, y, options["cause"], [tau])[:, 0]
            return float(cause_concordance(censoring, y, risk, **options))
        times = options.pop("times", None)
        if times is None:
            times = _times(censoring, y, self.name)
        if self.name == "cause_ibs":
            incidence = _incidence(estimator, X, y, options["cause"], times)
            score = integrated_cause_brier_score(
                censoring, y, incidence, times, **options
            )
            return -float(score)
        if self.name == "auc":
            risk = estimator.predict(X)
            curve = cumulative_dynamic_auc(censoring, y, risk, times, **options)
            return float(_whole(curve, self.name))
        measure = {"ibs": brier_score, "nbll": negative_binomial_log_likelihood}
        curves = _curves(estimator, X, y)
        curve = measure[self.name](censoring, y, curves, times, **options)
        return -float(_whole(curve, self.name))

    def __repr__(self) -> str:
        options = "".join(f", {k}={v!r}" for k, v in self.options.items())
        return f"scorer({self.name!r}{options})"


def scorer(name: str, **options: Any) -> Scorer:
    """Make a scorer for ``cross_val_score``, ``GridSearchCV`` and their like.

    Censoring, times and τ are those of the data that the estimator was fitted to, kept
    in ``estimator.censoring_``, so that all models of a fold are scored alike. Losses
    are negated: higher is better.

    Parameters
    ----------
    name : str
        "harrell", "uno", "antolini", "ibs", "nbll", "auc"; with competing risks
        "cause_concordance" and "cause_ibs".
        Harrell's or Uno's C of ``predict``, Antolini's C of
        ``predict_survival_function``, minus the integrated Brier score, minus the
        integrated negative binomial log-likelihood, or the mean AUC(t) of ``predict``;
        Wolbers' C of the incidence of a cause up to τ, and minus its integrated Brier
        score, of ``predict_cumulative_incidence_function``.
    **options
        ``cause`` (needed for those of a cause),
        ``ties`` (the concordances), ``tau`` ("uno"; default: the 90th percentile of
        the training data's event times), ``times`` ("ibs", "nbll", "auc"; default: 100
        between the 10th and 90th percentile, less those beyond the rows scored),
        ``ipcw`` (all but "harrell" and "antolini").

    Returns
    -------
    Scorer
        Callable as ``scorer(estimator, X, y)``.

    Raises
    ------
    ParameterError
        If the name or an option is unknown.

    Examples
    --------
    >>> import semistruct as ss
    >>> from sklearn.model_selection import cross_val_score
    >>> X, y = ss.datasets.load_rossi()
    >>> model = ss.SemiStructuredSurvival("fin + age + prio")
    >>> harrell = ss.metrics.scorer("harrell")
    >>> cross_val_score(model, X, y, scoring=harrell, cv=3).round(2).tolist()
    [0.64, 0.59, 0.58]
    """
    check_choice(name, _OPTIONS, parameter="name", owner="scorer()")
    for option in options:
        if option not in _OPTIONS[name]:
            known = sorted(_OPTIONS[name])
            raise ParameterError(
                parameter=option,
                owner=f"scorer({name!r})",
                allowed="one of " + ", ".join(known),
                given=options[option],
                hint=suggest(option, known),
            )
    if "cause" in _OPTIONS[name] and "cause" not in options:
        raise ParameterError(
            parameter="cause",
            owner=f"scorer({name!r})",
            allowed="one of the causes of y",
            given=None,
        )
    if "ties" in options:
        check_choice(options["ties"], TIES, parameter="ties", owner="scorer()")
    return Scorer(name, options)


def _curves(estimator: Any, X: Any, y: Surv) -> Any:
    if y.strata is None:
        return estimator.predict_survival_function(X)
    return estimator.predict_survival_function(X, strata=y.strata)


def _incidence(estimator: Any, X: Any, y: Surv, cause: Any, times: Any) -> np.ndarray:
    """Predicted incidence of a cause, (n, m)."""
    strata = {} if y.strata is None else {"strata": y.strata}
    found = estimator.predict_cumulative_incidence_function(X, times=times, **strata)
    if cause not in found:
        raise ParameterError(
            parameter="cause",
            owner="scorer()",
            allowed=f"one of the causes of the model, {list(found)}",
            given=cause,
        )
    return found[cause](times)


def _censoring(estimator: Any, name: str) -> CensoringDistribution:
    found = getattr(estimator, "censoring_", None)
    if found is None:
        raise DataError(
            f"scorer({name!r}) needs the censoring of the training data, but "
            f"{type(estimator).__name__} has no censoring_. Set it in fit: "
            "censoring_ = CensoringDistribution.fit(y)."
        )
    return found


def _times(censoring: CensoringDistribution, y: Surv, name: str) -> np.ndarray:
    times = censoring.default_times()
    inside = times < y.time.max()
    if name == "auc":  # there must be an event by then
        first = y.time[y.event].min() if y.event.any() else np.inf
        inside &= times >= first
    if inside.sum() < 2:
        raise DataError(
            f"scorer({name!r}): the times {times[0]:g} to {times[-1]:g}, chosen from "
            f"the training data, lie beyond the horizon of y, {y.time.max():g}."
        )
    return times[inside]


def _whole(curve: Any, name: str) -> Any:
    if curve.integrated is None:
        raise DataError(f"scorer({name!r}) needs at least two times.")
    return curve.integrated
