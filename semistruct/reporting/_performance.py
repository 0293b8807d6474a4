"""Sections of a report about predictions: scores, calibration, curves."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from semistruct import metrics, plots
from semistruct.estimators import analysis
from semistruct.exceptions import DataError, SemistructError

from ._facts import Facts, attempt, drawn, formatted
from ._page import Page
from ._scores import (
    binned_risk,
    horizon,
    proportions,
    score_classes,
    score_numbers,
    score_survival,
)

__all__ = ["write_calibration", "write_curves", "write_scores"]

_GREY = "#7F7F7F"
_NOMINAL = 0.9  # of prediction intervals


def write_scores(page: Page, facts: Facts) -> None:
    """Write scores with intervals."""
    page.heading("Scores")
    page.text(f"Lower and upper are limits of {facts.level:.0%} intervals.")
    attempt(page, "Scores", lambda: page.table(formatted(_scores(facts))))
    if len(facts.model.predictor_.parts) and np.ndim(facts.y) == 1:
        attempt(page, "What each part adds", lambda: _write_parts(page, facts))


def write_calibration(page: Page, facts: Facts) -> None:
    """Write whether predictions mean what they say."""
    page.heading("Calibration")
    if facts.survival:
        write = _survival_calibration
    elif facts.probabilities:
        write = _class_calibration
    else:
        write = _number_calibration
    attempt(page, "Calibration", lambda: write(page, facts))


def write_curves(page: Page, facts: Facts) -> None:
    """Write survival curves: predicted of three rows, observed of risk groups."""
    if not facts.survival:
        return
    page.heading("Curves over time")
    attempt(page, "Predicted curves", lambda: _predicted_curves(page, facts))
    if not facts.causes:
        attempt(page, "Risk groups", lambda: _risk_groups(page, facts))


def _scores(facts: Facts) -> pd.DataFrame:
    """Score the predictions, by the kind of model."""
    model, X, y = facts.model, facts.X, facts.y
    options: dict[str, Any] = {
        "n_boot": facts.n_boot,
        "level": facts.level,
        "random_state": facts.random_state,
    }
    if facts.survival and facts.causes:
        return _cause_scores(facts)
    if facts.survival:
        curves = model.predict_survival_function(X, y.strata)
        risk = model.predict(X)
        return score_survival(y, risk, curves, model.censoring_, facts.level)
    coded = np.asarray(model._coded(y))
    if facts.probabilities:
        return score_classes(coded.astype(np.int64), _probability(facts), **options)
    weight = np.ones(len(coded))
    if coded.ndim == 2:  # successes and failures
        weight = coded.sum(axis=1)
        coded = coded[:, 0] / weight
    mean = np.asarray(model.predict(X))
    return score_numbers(coded.astype(np.float64), mean, weight, **options)


def _cause_scores(facts: Facts) -> pd.DataFrame:
    """Give Wolbers' concordance of each cause."""
    model, y = facts.model, facts.y
    risk = np.reshape(model.predict(facts.X), (len(y), -1))
    rows = {}
    for cause, own in zip(facts.causes, risk.T, strict=True):
        score = metrics.cause_concordance(model.censoring_, y, own, cause=cause)
        low, high = score.interval(facts.level)
        rows[f"C of {cause}"] = {
            "estimate": score.estimate,
            "lower": low,
            "upper": high,
            "interval": "infinitesimal jackknife",
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def _write_parts(page: Page, facts: Facts) -> None:
    from semistruct import attribution

    found = attribution.modality_shapley_score(facts.model, facts.X, facts.y)
    name = "C-index" if facts.survival else "R²"
    if hasattr(facts.model, "classes_"):
        name = "accuracy"
    n = len(found.values.columns)
    page.figure(
        drawn(
            lambda axis: plots.modality_shapley(found, axes=axis), 6.0, 1.4 + 0.4 * n
        ),
        f"What each part adds to the score ({name}): Shapley values, from a constant "
        "prediction to the whole model.",
    )


def _probability(facts: Facts) -> np.ndarray:
    """Give probabilities of the classes, (n, C)."""
    if hasattr(facts.model, "classes_"):
        return np.asarray(facts.model.predict_proba(facts.X))
    return np.asarray(facts.model.predict(facts.X))


def _survival_calibration(page: Page, facts: Facts) -> None:
    model, X, y = facts.model, facts.X, facts.y
    time = horizon(y)
    if time is None:
        raise DataError("there are fewer than two distinct times of events.")
    times = np.array([time])
    if facts.causes:
        found = model.predict_cumulative_incidence_function(X, y.strata, times=times)
        for cause, curve in found.items():
            table = metrics.cause_calibration_curve(y, curve, time, cause=cause)
            _show_calibration(page, table, f"of {cause} by t = {time:.4g}")
        return
    survival = model.predict_survival_function(X, y.strata, times=times).values[:, 0]
    bins = int(np.clip(y.event.sum() // 20, 3, 10))
    table = metrics.calibration_curve(y, survival, time, bins=bins, level=facts.level)
    try:
        smooth = metrics.ici(y, survival, time)
        words = f"by t = {time:.4g}; the mean distance (ICI) is {smooth.ici:.3f}"
    except SemistructError:
        smooth, words = None, f"by t = {time:.4g}"
    _show_calibration(page, table, words, smooth)
    slope = metrics.calibration_slope(y, survival, time)
    level = metrics.calibration_intercept(y, survival, time)
    rows = {
        name: (score.estimate, *score.interval(facts.level), ideal)
        for name, score, ideal in (("slope", slope, 1), ("in the large", level, 0))
    }
    columns = ["estimate", "lower", "upper", "ideal"]
    page.table(formatted(pd.DataFrame.from_dict(rows, "index", columns=columns)))


def _class_calibration(page: Page, facts: Facts) -> None:
    coded = np.asarray(facts.model._coded(facts.y)).astype(np.int64)
    probability = _probability(facts)
    z = NormalDist().inv_cdf(0.5 + facts.level / 2)
    labels = facts.class_labels()
    bins = int(np.clip(len(coded) // 40, 3, 10))
    for k in range(len(labels))[1 if len(labels) == 2 else 0 :]:
        table = binned_risk(coded == k, probability[:, k], z, bins)
        _show_calibration(page, table, f"of {labels[k]}")


def _show_calibration(
    page: Page, table: pd.DataFrame, words: str, smooth: Any = None
) -> None:
    page.figure(
        drawn(
            lambda axis: plots.calibration(table, smooth=smooth, axes=axis), 4.2, 4.2
        ),
        f"Predicted and observed risk {words}. On the dashed line they are equal.",
    )


def _number_calibration(page: Page, facts: Facts) -> None:
    """Show whether predicted distributions are right: PIT, and coverage."""
    model, X, y = facts.model, facts.X, facts.y
    found = analysis.pit_histogram(model, X, y)

    def draw(axis: Any) -> None:
        width = np.diff(found.edges)
        at = found.edges[:-1]
        look = {"color": plots.COLORS[0], "alpha": 0.8, "edgecolor": "white"}
        axis.bar(at, found.density, width, align="edge", **look)
        axis.axhline(1, color=_GREY, linewidth=1, linestyle="--")
        axis.set(xlabel="predicted probability of at most y", ylabel="density")
        axis.spines[["top", "right"]].set_visible(False)

    page.figure(
        drawn(draw, 4.6, 3.2),
        "Where the responses fall in their predicted distributions. Flat is right; a "
        "hump says that they are too wide, a bowl too narrow, a slope that they are "
        "off centre.",
    )
    if np.ndim(y) != 1:
        return
    limits = model.predict(X, interval=_NOMINAL)
    values = np.asarray(model._coded(y), dtype=np.float64)
    inside = (values >= limits["lower"]) & (values <= limits["upper"])
    z = NormalDist().inv_cdf(0.5 + facts.level / 2)
    n = np.array([len(values)])
    low, high = proportions(np.array([int(inside.sum())]), n, z)
    page.text(
        f"Prediction intervals of {_NOMINAL:.0%} hold {inside.mean():.1%} of the "
        f"responses (interval of this share: {low[0]:.1%} to {high[0]:.1%})."
    )


def _predicted_curves(page: Page, facts: Facts) -> None:
    model, y = facts.model, facts.y
    order = facts.order()
    rows = order[[int(q * (len(order) - 1)) for q in (0.1, 0.5, 0.9)]]
    names = ["low risk", "median risk", "high risk"]
    words = [
        f"{name} (row {facts.X.index[i]})" for name, i in zip(names, rows, strict=True)
    ]
    strata = None if y.strata is None else y.strata[rows]
    X = facts.X.iloc[rows]
    if facts.causes:
        curves = model.predict_cumulative_incidence_function(X, strata)
        import matplotlib.pyplot as plt

        axes = plots.incidence(curves, labels=words)
        figure = axes[0].figure
        plt.close(figure)
        page.figure(figure, "Predicted incidence of the causes, of three rows.")
        return
    found = model.predict_survival_function(X, strata)
    last = found.times <= y.time.max()
    shown = type(found)(found.times[last], found.values[:, last], index=found.index)
    page.figure(
        drawn(lambda axis: plots.survival(shown, labels=words, axes=axis), 6.0, 3.6),
        "Predicted survival of three rows: at the 10th, 50th and 90th percentile of "
        "the risk.",
    )


def _risk_groups(page: Page, facts: Facts) -> None:
    risk = np.reshape(facts.model.predict(facts.X), (len(facts.X), -1))[:, 0]
    last = float(facts.y.time.max())
    ticks = np.asarray(MaxNLocator(6).tick_values(0, last))
    times = ticks[(ticks >= 0) & (ticks <= last)]
    found = metrics.km_strata(facts.y, risk, 3, times=times, level=facts.level)
    page.figure(
        drawn(lambda axis: plots.risk_strata(found, axes=axis), 6.0, 4.2),
        "Observed survival (Kaplan-Meier) of three groups of equal size by predicted "
        "risk, with numbers at risk.",
    )
