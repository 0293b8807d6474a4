"""What standard errors condition on: the options, and which of them go together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sklearn.base import BaseEstimator

from semistruct._core.validation import check_choice, check_number
from semistruct.exceptions import ParameterError

__all__ = [
    "Bootstrap",
    "CrossFit",
    "InferenceReport",
    "check_inference",
    "resolve_inference",
]

STRATEGIES = ("joint", "two_stage", "backfit")
INFERENCES = ("conditional", "last_layer", "cross_fit", "bootstrap")
ESTIMANDS = ("projection", "adjusted")
ORTHOGONAL = ("global", "batch", "post_hoc", "none")


class CrossFit(BaseEstimator):
    """Cross-fitting: no row meets a network that has seen it.

    Parameters
    ----------
    folds : int, default=5
        F >= 2; a network is trained for each, on the other folds. Rows of one group, or
        of one ``id`` of y, are in one fold; events (classes) are in proportion.
    repeats : int, default=1
        R >= 1 splits; the median of the estimates is taken, and their spread shown.
    learner : scikit-learn regressor, optional
        Of covariates and response given the deep features, for
        ``estimand="adjusted"``; a ridge regression when not given.

    Examples
    --------
    >>> import semistruct as ss
    >>> ss.SemiStructuredRegressor("x", inference=ss.CrossFit(folds=2)).inference
    CrossFit(folds=2)
    """

    kind = "cross_fit"

    def __init__(self, folds: int = 5, repeats: int = 1, learner: Any = None) -> None:
        self.folds = folds
        self.repeats = repeats
        self.learner = learner

    def check(self, owner: str) -> None:
        """Check the options."""
        name = f"{type(self).__name__} of {owner}"
        check_number(self.folds, parameter="folds", owner=name, low=2, integer=True)
        check_number(self.repeats, parameter="repeats", owner=name, low=1, integer=True)
        if self.learner is not None and not hasattr(self.learner, "fit"):
            raise ParameterError(
                parameter="learner",
                owner=name,
                allowed="a scikit-learn regressor or None",
                given=self.learner,
            )


class Bootstrap(BaseEstimator):
    """Refits, networks included, on rows that are drawn with replacement.

    Parameters
    ----------
    n_replicates : int, default=100
        B >= 2. Groups, or ids of y, are drawn whole.
    n_jobs : int, optional
        Processes, as joblib counts them; one when not given.

    Examples
    --------
    >>> import semistruct as ss
    >>> ss.Bootstrap(20)
    Bootstrap(n_replicates=20)
    """

    kind = "bootstrap"

    def __init__(self, n_replicates: int = 100, n_jobs: int | None = None) -> None:
        self.n_replicates = n_replicates
        self.n_jobs = n_jobs

    def check(self, owner: str) -> None:
        """Check the options."""
        name = f"{type(self).__name__} of {owner}"
        check_number(
            self.n_replicates, parameter="n_replicates", owner=name, low=2, integer=True
        )
        check_number(
            self.n_jobs, parameter="n_jobs", owner=name, integer=True, none=True
        )


@dataclass(frozen=True)
class InferenceReport:
    """What standard errors of a fit rest on; it is saved with the model.

    Attributes
    ----------
    strategy, inference, estimand : str
        As in the estimator.
    residual_share : dict of str to float
        Of each parametric column, 1 − R² given the deep features, out of fold; empty
        without deep terms.
    deep_edf : dict of str to list of float
        Effective degrees of freedom of the last layer of each deep term, for each of
        its linear predictors; with ``"last_layer"`` only.
    spread : float
        Largest standard deviation of a coefficient over repeated splits, in its
        standard errors; 0 for one split.
    n_refits : int
        Networks that were trained beside the model's own.
    clustered : bool
        Whether scores were summed, or rows drawn, by group.
    """

    strategy: str = "joint"
    inference: str = "conditional"
    estimand: str = "projection"
    residual_share: dict[str, float] = field(default_factory=dict)
    deep_edf: dict[str, list[float]] = field(default_factory=dict)
    spread: float = 0.0
    n_refits: int = 0
    clustered: bool = False

    @property
    def total_edf(self) -> float:
        """Effective degrees of freedom of all last layers that were counted."""
        return float(sum(sum(values) for values in self.deep_edf.values()))

    def notes(self) -> tuple[str, ...]:
        """Say it in words, for a summary."""
        words = [_CONDITIONS[self.inference].format(n=self.n_refits)]
        if self.clustered and self.inference == "cross_fit":
            words[0] += " Scores are summed by group."
        if self.inference == "cross_fit" and self.spread > 0:
            words.append(
                "Over the repeated splits a coefficient moved by up to "
                f"{self.spread:.2f} of its standard errors (standard deviation); they "
                "include it."
            )
        if self.strategy != "joint":
            words.append(_STRATEGY[self.strategy])
        return tuple(words)

    def share_note(self) -> tuple[str, ...]:
        """Say how much the deep features leave of the covariates."""
        if not self.residual_share:
            return ()
        shares = (f"{k} {v:.2f}" for k, v in self.residual_share.items())
        return (
            "Share of each covariate's variance that the deep features leave (1 - R², "
            f"out of fold): {', '.join(shares)}.",
        )


_CONDITIONS = {
    "conditional": "Standard errors are conditional on the deep terms: they do not "
    "know that the encoders were learned from the same outcome.",
    "last_layer": "Standard errors count the last layer of the deep terms, a ridge "
    "block of the same fit, but not that its features were learned from the same "
    "outcome.",
    "cross_fit": "Standard errors are robust (a sandwich) and cross-fitted: no row met "
    "one of the {n} networks that had seen it.",
    "bootstrap": "Standard errors are those of {n} refits, networks included, on rows "
    "drawn with replacement.",
}
_STRATEGY = {
    "two_stage": "Two stages: coefficients, their standard errors and the "
    "log-likelihood are those of the structured part alone; the deep terms were fitted "
    "to what it left.",
    "backfit": "Backfitting: structured part and deep terms were fitted in turns.",
}


def resolve_inference(inference: Any, owner: str) -> Any:
    """Give ``"conditional"``, ``"last_layer"``, a `CrossFit` or a `Bootstrap`."""
    if isinstance(inference, CrossFit | Bootstrap):
        inference.check(owner)
        return inference
    if not isinstance(inference, str):
        raise ParameterError(
            parameter="inference",
            owner=owner,
            allowed="one of "
            + ", ".join(map(repr, INFERENCES))
            + ", or a CrossFit or Bootstrap object",
            given=inference,
        )
    check_choice(inference, INFERENCES, parameter="inference", owner=owner)
    made = {"cross_fit": CrossFit, "bootstrap": Bootstrap}
    return made[inference]() if inference in made else inference


def check_inference(
    strategy: str, inference: Any, estimand: str, orthogonalize: str, owner: str
) -> None:
    """Check the four parameters, and that they go together."""
    for name, value, allowed in (
        ("strategy", strategy, STRATEGIES),
        ("estimand", estimand, ESTIMANDS),
        ("orthogonalize", orthogonalize, ORTHOGONAL),
    ):
        check_choice(value, allowed, parameter=name, owner=owner)
    resolved = resolve_inference(inference, owner)
    kind = getattr(resolved, "kind", resolved)
    if estimand == "adjusted" and kind != "cross_fit":
        raise ParameterError(
            parameter="inference",
            owner=owner,
            allowed="'cross_fit' where estimand='adjusted'",
            given=kind,
            hint="In-sample deep features would take the covariates' noise for theirs.",
        )
    if kind in ("cross_fit", "last_layer") and strategy != "joint":
        raise ParameterError(
            parameter="strategy",
            owner=owner,
            allowed=f"'joint' where inference={kind!r}",
            given=strategy,
        )
    moved = orthogonalize == "post_hoc" and kind == "last_layer"
    free = orthogonalize in ("post_hoc", "none") and kind == "cross_fit"
    if moved or (free and estimand == "projection"):
        raise ParameterError(
            parameter="orthogonalize",
            owner=owner,
            allowed=f"'global' or 'batch' where inference={kind!r}",
            given=orthogonalize,
            hint="Without it the coefficients beside an out-of-fold deep part are "
            "neither estimand."
            if kind == "cross_fit"
            else "",
        )
