"""Sections of a report about the data and the model."""

from __future__ import annotations

import importlib.metadata
import platform
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from semistruct import plots

from ._facts import Facts, attempt, drawn, formatted, sized
from ._page import Page

__all__ = ["write_data", "write_model", "write_rests", "write_versions"]

_FEW = 12  # columns of a term that are shown one by one
_PACKAGES = ("numpy", "pandas", "scipy", "scikit-learn", "torch", "captum")


def write_data(page: Page, facts: Facts) -> None:
    """Write what the rows are."""
    page.heading("Data")
    rows = f"{len(facts.X):,} rows"
    if facts.of_fit:
        page.text(
            f"{rows}, those that the model was fitted to. Scores and calibration below "
            "are therefore optimistic, the more so with networks: look at rows that "
            "were held out."
        )
    else:
        page.text(
            f"{rows} whose target is not that of the fit ({facts.model.n_rows_:,} "
            "rows): scores and calibration are taken as those of held-out rows."
        )
    page.table(_columns(facts))
    if facts.survival:
        _write_survival(page, facts)
    elif facts.probabilities and np.ndim(facts.y) == 1:
        counts = pd.Series(facts.y).value_counts(sort=False).sort_index()
        table = pd.DataFrame({"rows": counts, "share": counts / len(facts.y)})
        page.table(formatted(table))
    elif np.ndim(facts.y) == 1:
        values = pd.Series(np.asarray(facts.y, dtype=np.float64), name="target")
        page.table(formatted(values.describe().drop("count").to_frame().T))


def write_model(page: Page, facts: Facts) -> None:
    """Write terms, statistics, coefficients, smooths and deep terms."""
    model, summary = facts.model, facts.summary
    page.heading("Model").code(f"{summary.title}\n{summary.formula}")
    statistics = pd.Series(summary.statistics, name="value").to_frame()
    page.table(formatted(statistics))
    if len(summary.coefficients):
        page.heading("Coefficients").table(formatted(summary.coefficients))
        effects = [n for n in summary.coefficients.index if "Intercept" not in str(n)]
        if 0 < len(effects) <= 40:
            shown = summary.coefficients.loc[effects]
            figure = drawn(
                lambda axis: plots.coefficients(shown, axes=axis),
                6.4,
                0.9 + 0.36 * len(shown),
            )
            page.figure(
                figure,
                "Coefficients with 95 % intervals, each per unit of its column: sizes "
                "compare only between columns of like units.",
            )
    if len(summary.smooths):
        page.heading("Smooth and random terms").table(formatted(summary.smooths))
        kinds = {b.kind for d in model.predictor_.designs for b in d.blocks}
        if kinds & {"smooth", "tensor"}:
            write = partial(_draw_smooths, page, facts)
            attempt(page, "The picture of the smooths", write)
    if len(summary.deep):
        page.heading("Deep terms").table(formatted(summary.deep))
        page.text(
            "The share of a deep term d is Cov(d, η) / Var(η), η being the linear "
            "predictor, over the rows of the fit."
        )
        if not model.history_.empty:
            page.figure(
                drawn(lambda axis: plots.history(model, axes=axis), 4.6, 3.0),
                "Loss in training; the dot is the epoch that was kept.",
            )


def write_rests(page: Page, facts: Facts) -> None:
    """Write what standard errors and intervals rest on."""
    page.heading("What the numbers rest on")
    notes = list(facts.summary.notes)
    if not notes:
        notes.append(
            "Standard errors are those of the model as it stands: its terms, its "
            "distribution and its rows, which are taken as independent."
        )
    if len(facts.summary.smooths):
        notes.append(
            "Smoothing parameters are estimated; standard errors of the coefficients "
            "take them as known."
        )
    notes.append(
        "Intervals of scores know that the rows of this report are a sample; they take "
        "the fitted model as given."
    )
    page.items(notes)


def write_versions(page: Page, facts: Facts) -> None:
    """Write versions, seed and settings."""
    page.heading("Versions, seed and settings")
    found = {"Python": platform.python_version()}
    for name in ("semistruct", *_PACKAGES):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    found["seed of the fit (random_state)"] = repr(facts.model.random_state)
    found["target of the fit (digest)"] = str(facts.model.target_digest_)
    page.table(pd.Series(found, name="").to_frame())
    page.code(repr(facts.model))


def _columns(facts: Facts) -> pd.DataFrame:
    """Describe the columns that the model reads; many of one term in one row."""
    known = getattr(facts.model, "feature_names_in_", facts.X.columns)
    names = [name for name in known if name in facts.X]
    rows: dict[str, tuple[Any, ...]] = {}
    for part in facts.model.predictor_.parts.values():
        block = [name for name in part.modality.columns if name in names]
        if len(block) > _FEW:
            missing = int(facts.X[block].isna().any(axis=1).sum())
            rows[part.term.label] = (f"{len(block)} columns", missing, "")
            names = [name for name in names if name not in block]
    for name in names:
        rows[str(name)] = _describe(facts.X[name])
    table = pd.DataFrame.from_dict(rows, orient="index")
    return table.set_axis(["kind", "missing", "values"], axis=1)


def _describe(column: pd.Series) -> tuple[str, int, str]:
    """Say of a column what it is, how much is missing, and what it holds."""
    missing = int(column.isna().sum())
    kept = column[column.notna()]
    if pd.api.types.is_bool_dtype(column.dtype):
        return "true or false", missing, f"{kept.mean():.0%} true"
    if pd.api.types.is_numeric_dtype(column.dtype):
        values = kept.to_numpy(dtype=np.float64)
        if not len(values):
            return "number", missing, ""
        words = f"mean {sized(values.mean())}, SD {sized(values.std())}, "
        return (
            "number",
            missing,
            words + f"{sized(values.min())} to {sized(values.max())}",
        )
    if str(column.dtype).startswith("tensor") or not len(kept):
        return str(column.dtype), missing, ""
    if not all(isinstance(value, str) for value in kept.iloc[:50]):
        return type(kept.iloc[0]).__name__, missing, ""
    counts = kept.value_counts()
    if len(counts) > _FEW:
        return "texts or paths", missing, f"{len(counts):,} different"
    levels = [f"{level} {count / len(kept):.0%}" for level, count in counts.items()]
    return "labels", missing, ", ".join(levels)


def _write_survival(page: Page, facts: Facts) -> None:
    y = facts.y
    events = int(y.event.sum())
    page.text(
        f"{events:,} events in {len(y):,} rows; times from {sized(y.time.min())} to "
        f"{sized(y.time.max())}, median {sized(float(np.median(y.time)))}."
    )
    if y.cause is not None and len(y.causes) > 1:
        attempt(
            page,
            "The incidence of the causes",
            lambda: page.figure(
                drawn(lambda axis: plots.cumulative_incidence(y, axes=axis)),
                "Cumulative incidence of each cause (Aalen-Johansen), with numbers at "
                "risk.",
            ),
        )
        return
    attempt(
        page,
        "The Kaplan-Meier curve",
        lambda: page.figure(
            drawn(lambda axis: plots.kaplan_meier(y, axes=axis)),
            "Kaplan-Meier curve of the rows, with 95 % limits and numbers at risk.",
        ),
    )


def _draw_smooths(page: Page, facts: Facts) -> None:
    import matplotlib.pyplot as plt

    frame = facts.model._frame(facts.X)  # with the columns that are computed
    known = set(facts.model.profile_) <= set(frame.columns)  # but for the time axis
    axes = plots.terms(facts.model, frame if known else None)
    figure = axes[0].figure
    plt.close(figure)
    page.figure(
        figure,
        "Smooths with pointwise 95 % bands"
        + ("; ticks on the axis are the rows of this report." if known else "."),
    )
