"""Early, joint and late fusion of a table and an image, on an additive truth and not.

Law et al.'s comparison: a semi-structured model that is additive in table and image, a
fully nonlinear one, and others between. R² of the noiseless mean of new rows.
"""

from __future__ import annotations

import time
import warnings

import numpy as np
import pandas as pd

import semistruct as ss

TABLE = "age + C(stage) + s(bmi)"
REPLICATES = 5
TRAIN, TEST = 1200, 1000


def estimators(seed: int) -> dict[str, object]:
    """One model for each way of fusion."""
    options = {
        "training": ss.Training(max_epochs=60, learning_rate=3e-3, patience=10),
        "random_state": seed,
    }

    def model(terms: str) -> ss.SemiStructuredRegressor:
        return ss.SemiStructuredRegressor(terms, **options)

    pair = [("table", model(TABLE)), ("image", model("image(scan)"))]
    nonlinear = "fuse(tabular(age, stage, bmi), image(scan), how='concat', head='mlp')"
    return {
        f"table alone: `{TABLE}`": model(TABLE),
        "image alone: `image(scan)`": model("image(scan)"),
        "early: `… + pca(image(scan), 20)`": model(f"{TABLE} + pca(image(scan), 20)"),
        "additive: `… + image(scan)`": model(f"{TABLE} + image(scan)"),
        f"fully nonlinear: `{nonlinear}`": model(nonlinear),
        f"both: `… + {nonlinear}`": model(f"{TABLE} + {nonlinear}"),
        "late, mean": ss.LateFusion(pair),
        "late, weighted": ss.LateFusion(pair, how="weighted", random_state=seed),
        "late, stack": ss.LateFusion(pair, how="stack", random_state=seed),
    }


def simulate(seed: int, interaction: bool) -> tuple[pd.DataFrame, np.ndarray]:
    """Rows and their mean; with an interaction the image's effect grows with age."""
    X, _, truth = ss.datasets.make_regression_digits(
        TRAIN + TEST, random_state=seed, return_truth=True
    )
    eta = np.asarray(truth["linear_predictor"], dtype=np.float64)
    if interaction:
        image = truth["contributions"]["image(scan)"].to_numpy()
        age = X["age"].to_numpy()
        eta = eta + 2.0 * (image - image.mean()) * (age - age.mean()) / age.std()
    return X, eta


def main() -> int:
    rows = []
    for interaction in (False, True):
        for seed in range(REPLICATES):
            X, eta = simulate(seed, interaction)
            noise = np.random.default_rng(seed).normal(size=len(eta))
            y = eta + noise
            for name, estimator in estimators(seed).items():
                start = time.process_time()
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", UserWarning)
                    estimator.fit(X[:TRAIN], y[:TRAIN])
                spent = time.process_time() - start
                score = estimator.score(X[TRAIN:], eta[TRAIN:])
                rows.append((name, interaction, score, spent))
    frame = pd.DataFrame(rows, columns=["model", "interaction", "score", "seconds"])
    table = frame.groupby(["model", "interaction"], sort=False).agg(
        mean=("score", "mean"), sd=("score", "std"), seconds=("seconds", "mean")
    )
    print(f"{REPLICATES} replicates of {TRAIN} rows; R² of the mean of {TEST} new rows")
    print("(standard deviation over replicates), noise of variance 1.\n")
    print("| model | additive truth | age × image | CPU s of a fit |")
    print("|---|---|---|---|")
    for name in table.index.get_level_values(0).unique():
        plain, mixed = table.loc[(name, False)], table.loc[(name, True)]
        cells = [f"{r['mean']:.3f} ({r['sd']:.3f})" for r in (plain, mixed)]
        print(f"| {name} | {cells[0]} | {cells[1]} | {plain['seconds']:.1f} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
