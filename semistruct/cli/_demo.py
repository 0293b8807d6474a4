"""The demonstration: two semi-structured models on real scans, with known truth."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

import semistruct as ss
from semistruct.reporting import Page

__all__ = ["run_demo"]

TABLE = "age + C(stage) + s(bmi)"
IMAGE = "image(scan)"


def run_demo(out: Path, *, n: int = 1600, seed: int = 0) -> None:
    """Fit, print estimates beside the truth and held-out scores, write a page.

    Parameters
    ----------
    out : Path
        Folder for the pictures and ``index.html``.
    n : int, default=1600
        Rows to simulate for each model; 30 % are held out.
    seed : int, default=0
        Seed of the data, the split and the training.
    """
    started = time.perf_counter()
    page = Page("semistruct: a table and a scan in one model")
    page.text(
        "Real scans (the handwritten digits that scikit-learn ships), simulated "
        "covariates and outcomes: so the truth is known. The digit's value adds to the "
        "outcome and has nothing to do with the table."
    )
    out.mkdir(parents=True, exist_ok=True)
    for kind in ("survival", "regression"):
        _one(kind, page, out, n, seed)
    seconds = time.perf_counter() - started
    target = page.write(out / "index.html")
    print(f"Wrote {target} and the pictures beside it, in {seconds:.0f} seconds.")


def _one(kind: str, page: Page, out: Path, n: int, seed: int) -> None:
    survival = kind == "survival"
    make: Any = ss.datasets.make_regression_digits
    if survival:
        make = ss.datasets.make_survival_digits
    X, y, truth = make(n, random_state=seed, return_truth=True)
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=0.3, random_state=seed
    )
    estimator: Any = ss.SemiStructuredRegressor
    if survival:
        estimator = ss.SemiStructuredSurvival
    formulas = {
        "table only": TABLE,
        "image only": IMAGE,
        "table + image": f"{TABLE} + {IMAGE}",
    }
    models, scores = {}, {}
    for name, formula in formulas.items():
        print(f"{kind}: fitting {name}: {formula}", file=sys.stderr)
        model = estimator(formula, random_state=seed, progress=True)
        models[name] = model.fit(X_train, y_train)
        scores[name] = model.score(X_test, y_test)
    scores["truth (not reachable)"] = _oracle(truth, X_test, y_test, survival)
    measure = "held-out C-index" if survival else "held-out R²"
    model = models["table + image"]
    summary = model.summary()
    beside = _beside_truth(summary.coefficients, truth["coefficients"])
    values = pd.Series(scores, name=measure)

    print(f"\n{kind.upper()}: {formulas['table + image']}\n")
    print(beside.round(3).to_string(), "\n")
    print(values.to_frame().round(3).to_string(), "\n")

    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 3.4), layout="constrained")
    axes = figure.subplots(1, 3)
    shown, real = _per_decade(beside)
    ss.plots.coefficients(shown, truth=real, axes=axes[0])
    ss.plots.terms(model, X_train, axes=axes[1])
    low, high = model.profile_["bmi"]["range"]
    grid = np.linspace(low, high, 200)
    smooth = truth["smooth"]
    centre = smooth(X_train["bmi"]).mean()
    axes[1].plot(grid, smooth(grid) - centre, "--", color=ss.plots.COLORS[1])
    baseline = 0.5 if survival else 0.0
    ss.plots.scores(values, label=measure, baseline=baseline, axes=axes[2])
    figure.savefig(out / f"{kind}.png", dpi=120)

    page.heading("Survival" if survival else "Regression")
    page.code(formulas["table + image"])
    page.figure(
        figure,
        "Left: estimates with 95 % intervals, and the truth. Middle: the smooth of "
        "bmi with its band; dashed, the truth. Right: scores on held-out rows.",
    )
    if survival:
        page.text(
            "Hazard ratios are not collapsible: what the network does not find of the "
            "scan's effect draws the coefficients of the table towards zero."
        )
    page.table(beside).table(values.to_frame())
    page.code(str(summary))


def _per_decade(beside: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, float]]:
    """Show the effect of age by ten years: per year it would be a point."""
    shown = beside.copy()
    shown.loc["age"] *= 10
    shown = shown.rename(index={"age": "age, 10 years"})
    return shown, {str(k): float(v) for k, v in shown["truth"].items()}


def _oracle(truth: dict[str, Any], X: pd.DataFrame, y: Any, survival: bool) -> float:
    """Score the true linear predictor on the held-out rows."""
    eta = truth["linear_predictor"][X.index.to_numpy()]
    if survival:
        return ss.metrics.concordance_index(y, eta)
    return float(1 - ((y - eta) ** 2).sum() / ((y - y.mean()) ** 2).sum())


def _beside_truth(table: pd.DataFrame, truth: dict[str, float]) -> pd.DataFrame:
    """Put the truth before the estimates; only coefficients that have one."""
    known = table.loc[[name for name in table.index if name in truth]]
    beside = known[["coef", "std err", *table.columns[-2:]]].copy()
    beside.insert(0, "truth", [truth[name] for name in known.index])
    return beside
