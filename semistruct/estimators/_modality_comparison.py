"""Whether a modality adds something: the same folds for every combination of them.

Letters: n rows, J = folds × repeats splits, B resamples.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.base import is_classifier

from semistruct._core.randomness import RandomState, spawn
from semistruct._core.surv import Surv
from semistruct._core.validation import check_number
from semistruct.exceptions import DataError, InferenceWarning, ParameterError
from semistruct.inference import cross_folds

from ._held_out_scores import FoldScores, fit_and_score, resolve_metrics
from ._modality_report import ModalityComparison
from ._modality_subsets import configurations, is_table, read_modalities, with_terms

__all__ = ["CorrectedTest", "compare_modalities", "corrected_resampled_ttest"]

_OWNER = "compare_modalities()"


class CorrectedTest(NamedTuple):
    """Result of `corrected_resampled_ttest`.

    Attributes
    ----------
    mean : float
        Mean difference.
    se : float
        Its corrected standard error.
    statistic : float
        mean / se, Student's t with J − 1 degrees of freedom under no difference.
    p_value : float
        Two-sided.
    lower, upper : float
        Interval of the difference.
    """

    mean: float
    se: float
    statistic: float
    p_value: float
    lower: float
    upper: float


def corrected_resampled_ttest(
    differences: Any, n_train: float, n_test: float, level: float = 0.95
) -> CorrectedTest:
    """Test differences of scores over splits whose training rows overlap.

    The variance of the mean of J differences d_j is (1/J + n_test/n_train) s², and not
    s²/J: models of overlapping rows are not independent.

    Parameters
    ----------
    differences : array-like of shape (J,)
        Score of one model minus that of the other on each split, J ≥ 2.
    n_train, n_test : float
        Rows that a model is fitted to and scored on (their means), > 0.
    level : float, default=0.95
        Coverage of the interval, in (0, 1).

    Returns
    -------
    CorrectedTest

    References
    ----------
    Nadeau & Bengio (2003), Machine Learning 52, 239-281, doi:10.1023/A:1024068626366

    Examples
    --------
    >>> from semistruct.estimators import corrected_resampled_ttest
    >>> found = corrected_resampled_ttest([0.02, 0.04, 0.03, 0.05], 300, 100)
    >>> round(found.statistic, 3), round(found.p_value, 3)
    (3.55, 0.038)
    """
    owner = "corrected_resampled_ttest()"
    d = np.asarray(differences, dtype=np.float64)
    if d.ndim != 1 or len(d) < 2 or not np.isfinite(d).all():
        raise DataError(f"{owner}: it takes two finite differences or more, got {d!r}.")
    for name, value in (("n_train", n_train), ("n_test", n_test)):
        check_number(value, parameter=name, owner=owner, low=0, closed="neither")
    check_number(level, parameter="level", owner=owner, low=0, high=1, closed="neither")
    mean = float(d.mean())
    se = float(np.sqrt((1 / len(d) + n_test / n_train) * d.var(ddof=1)))
    if se == 0:  # the same difference each time
        same = mean == 0
        t = 0.0 if same else float(np.copysign(np.inf, mean))
        return CorrectedTest(mean, se, t, 1.0 if same else 0.0, mean, mean)
    df = len(d) - 1
    reach = float(stats.t.ppf(0.5 + level / 2, df)) * se
    p = float(2 * stats.t.sf(abs(mean / se), df))
    return CorrectedTest(mean, se, mean / se, p, mean - reach, mean + reach)


def compare_modalities(
    estimator: Any,
    X: pd.DataFrame,
    y: Any,
    modalities: Any = None,
    *,
    combinations: Sequence[Sequence[str]] = (),
    cv: Any = 5,
    repeats: int = 1,
    groups: Any = None,
    metrics: Any = None,
    search: Callable[[Any], Any] | None = None,
    n_boot: int = 200,
    n_jobs: int | None = None,
    random_state: RandomState = None,
) -> ModalityComparison:
    """Fit every single modality, chosen combinations and all, on the same folds.

    Parameters
    ----------
    estimator : estimator
        With the parameter ``terms``, or with ``structured`` and ``modalities`` as the
        systems have. A clone with some of the terms is fitted to each fold.
    X : DataFrame of n rows
        The table.
    y : Surv or array-like of n rows
        The target.
    modalities : dict of str to formula, optional
        Terms of each modality, ``{"table": "age + s(bmi)", "photo": "image(scan)"}``.
        By default the structured terms together are ``"table"`` and each deep term is
        one by its name.
    combinations : sequence of tuple of str, default=()
        Combinations beside the singles, all but one, and all.
    cv : int, splitter or sequence of (train, test), default=5
        A number of folds keeps groups whole and events (or classes) in proportion. A
        splitter has ``split(X, y, groups)``; it gets the events of survival times as y.
    repeats : int, default=1
        How often rows are dealt into folds anew, for a number of folds.
    groups : array-like of shape (n,), optional
        Labels whose rows are never torn apart, in the splits, in those that models make
        and in resamples; by default the ``id`` of ``y``.
    metrics : str, sequence of str, or dict of str to callable, optional
        Names of `semistruct.metrics.scorer` or of scikit-learn's scorers; of each,
        higher is better. A callable ``scorer(estimator, X, y)`` may only hand X on to
        the estimator's methods. Default: ``"harrell"``, ``"accuracy"`` or ``"r2"``.
    search : callable, optional
        ``search(estimator)`` gives what is fitted in its place, such as a
        ``GridSearchCV`` of it: every combination is tuned alike, within each fold.
    n_boot : int, default=200
        Resamples B of the held-out rows.
    n_jobs : int, optional
        Processes, as joblib counts them; one when not given.
    random_state : int, Generator, RandomState or None, default=None
        Source of the folds and of the resamples. Give the estimator one of its own.

    Returns
    -------
    ModalityComparison
        ``print`` says in words what was found; ``.folds``, ``.scores`` and ``.gains``
        are DataFrames.

    Warns
    -----
    InferenceWarning
        Where the full model is not the best of those compared, as its best is then
        picked on the data that it is reported on.

    Notes
    -----
    The gain of a modality is the score of all modalities minus that of all others. The
    test is `corrected_resampled_ttest`. The bootstrap interval is of percentiles over
    resamples of the held-out rows, the same for both models: it takes the fitted models
    as they are, and the test is what knows that others could have been fitted.

    References
    ----------
    Nadeau & Bengio (2003), Machine Learning 52, 239-281, doi:10.1023/A:1024068626366

    Examples
    --------
    >>> import semistruct as ss
    >>> X, y = ss.datasets.load_rossi()
    >>> model = ss.SemiStructuredSurvival("age + prio + fin")
    >>> parts = {"record": "prio", "person": "age + fin"}
    >>> found = ss.compare_modalities(model, X, y, parts, n_boot=20, random_state=0)
    >>> list(found.scores.index)
    ['record', 'person', 'record + person']
    """
    _check(X, y, repeats, n_boot)
    y = y if isinstance(y, Surv) or hasattr(y, "iloc") else _target(y)
    parts = read_modalities(estimator, modalities, [str(c) for c in X.columns])
    scorers = resolve_metrics(metrics, estimator, y)
    if groups is None:
        groups = getattr(y, "id", None)
    labels = None if groups is None else np.asarray(groups)
    split_seed, draw_seed = spawn(random_state, 2)
    splits = _splits(cv, repeats, X, y, labels, is_classifier(estimator), split_seed)
    subsets = configurations(list(parts), combinations)
    models = {name: with_terms(estimator, parts, own) for name, own in subsets.items()}
    seeds = spawn(draw_seed, len(splits))
    # imported here: it costs a sixth of a second at start
    from sklearn.base import clone
    from sklearn.utils.parallel import Parallel, delayed

    wrap = search if search is not None else _itself
    jobs = [(name, j) for name in models for j in range(len(splits))]
    found: list[FoldScores] = Parallel(n_jobs=n_jobs)(
        delayed(fit_and_score)(
            wrap(clone(models[name])),
            X,
            y,
            labels,
            splits[j],
            scorers,
            n_boot,
            seeds[j],
        )
        for name, j in jobs
    )
    result = _collect(list(scorers), subsets, splits, jobs, found, parts)
    if result.picked:
        warnings.warn(result.picked, InferenceWarning, stacklevel=2)
    return result


def _itself(model: Any) -> Any:
    return model


def _target(y: Any) -> Any:
    """Give a structured array as Surv, anything else as an array."""
    values = np.asarray(y)
    return Surv.coerce(values) if values.dtype.names else values


def _check(X: Any, y: Any, repeats: Any, n_boot: Any) -> None:
    if not isinstance(X, pd.DataFrame):
        raise ParameterError(
            parameter="X", owner=_OWNER, allowed="a DataFrame", given=type(X).__name__
        )
    if len(X) != len(y):
        raise DataError(f"{_OWNER}: X has {len(X)} rows, but y has {len(y)}.")
    for name, value in (("repeats", repeats), ("n_boot", n_boot)):
        check_number(value, parameter=name, owner=_OWNER, low=1, integer=True)


def _splits(
    cv: Any,
    repeats: int,
    X: pd.DataFrame,
    y: Any,
    groups: np.ndarray | None,
    classes: bool,
    seed: int,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Give (train, test) of each split, as positions."""
    strata = None
    if isinstance(y, Surv):
        strata = y.event.astype(int)
    elif classes:
        strata = np.asarray(y)
    if isinstance(cv, int) and not isinstance(cv, bool):
        check_number(cv, parameter="cv", owner=_OWNER, low=2)
        found = []
        for own in spawn(seed, repeats):
            fold = cross_folds(len(X), cv, own, groups=groups, strata=strata)
            found += [
                (np.flatnonzero(fold != k), np.flatnonzero(fold == k))
                for k in range(cv)
            ]
        return found
    if hasattr(cv, "split") and not isinstance(cv, str):
        target = np.asarray(y) if strata is None else strata
        cv = cv.split(np.zeros((len(X), 1)), target, groups)
    try:
        found = [(np.asarray(train), np.asarray(test)) for train, test in cv]
    except (TypeError, ValueError) as error:
        raise ParameterError(
            parameter="cv",
            owner=_OWNER,
            allowed="a number of folds >= 2, a splitter, or pairs (train, test)",
            given=cv,
        ) from error
    if len(found) < 2 or any(len(set(a) & set(b)) for a, b in found):
        raise ParameterError(
            parameter="cv",
            owner=_OWNER,
            allowed="two splits or more; no row trains and tests",
            given=f"{len(found)} splits",
        )
    return found


def _collect(
    metrics: list[str],
    subsets: dict[str, tuple[str, ...]],
    splits: list[tuple[np.ndarray, np.ndarray]],
    jobs: list[tuple[str, int]],
    found: list[FoldScores],
    parts: dict[str, Any],
) -> ModalityComparison:
    """Put fold scores, their means and the gains into tables."""
    rows = []
    for (name, j), own in zip(jobs, found, strict=True):
        train, test = splits[j]
        size = {"n_train": len(train), "n_test": len(test), "seconds": own.seconds}
        rows += [
            {"model": name, "split": j, "metric": m, "score": own.scores[m], **size}
            for m in metrics
        ]
    folds = pd.DataFrame(rows)
    by = folds.groupby(["model", "metric"], sort=False)["score"]
    scores = by.mean().unstack().loc[list(subsets), metrics]
    # (model, split, metric, resample); the mean over splits of each resample
    drawn = np.stack([own.resampled for own in found])
    drawn = drawn.reshape(len(subsets), len(splits), *drawn.shape[1:]).mean(axis=1)
    gains = _gains(folds, drawn, metrics, subsets, list(parts))
    tables = [name for name, own in parts.items() if is_table(own)]
    return ModalityComparison(
        folds=folds,
        scores=scores,
        gains=gains,
        full=_full(subsets),
        table=tables[0] if len(tables) == 1 else None,
    )


def _full(subsets: dict[str, tuple[str, ...]]) -> str:
    return max(subsets, key=lambda name: len(subsets[name]))


def _gains(
    folds: pd.DataFrame,
    drawn: np.ndarray,
    metrics: list[str],
    subsets: dict[str, tuple[str, ...]],
    parts: list[str],
) -> pd.DataFrame:
    """Compare all modalities with all but one; ``drawn`` is (model, metric, B)."""
    names, full = list(subsets), _full(subsets)
    sizes = folds.drop_duplicates("split")[["n_train", "n_test"]].mean()
    table = folds.pivot_table("score", ["metric", "split"], "model")
    rows = []
    for part, (m, metric) in product(parts, enumerate(metrics)):
        rest = next(n for n in names if set(subsets[n]) == set(parts) - {part})
        own = table.loc[[metric]]
        pair = own[full].to_numpy() - own[rest].to_numpy()
        test = corrected_resampled_ttest(pair, *sizes.tolist())
        gap = drawn[names.index(full), m] - drawn[names.index(rest), m]
        gap = gap[np.isfinite(gap)]
        if 2 * len(gap) < drawn.shape[-1]:
            raise DataError(
                f"{_OWNER}: {metric!r} is not defined on more than half of the "
                "resamples of the held-out rows. Use fewer folds."
            )
        lower, upper = np.quantile(gap, [0.025, 0.975])
        rows.append(
            {
                "modality": part,
                "metric": metric,
                "gain": test.mean,
                "se": test.se,
                "p_value": test.p_value,
                "lower": test.lower,
                "upper": test.upper,
                "boot_lower": float(lower),
                "boot_upper": float(upper),
            }
        )
    return pd.DataFrame(rows)
