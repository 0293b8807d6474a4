"""The named systems on simulated patients with scans, and what the scan adds.

The systems' Harrell's C and IBS are of 600 new patients: one seed, default sizes, 25
epochs. One seed of one simulation says which of them work, not which is better. The
last lines are the size of the test of a gain on data where there is none.
"""

import warnings

import numpy as np
from scipy import stats

import semistruct as ss

TABLE = "age + C(stage) + s(bmi)"
COLUMNS = "tabular(age, stage, bmi)"
SETS, ROWS, FOLDS, REPEATS = 1000, 100, 5, 3


def models():
    """Give the models by name."""
    s = ss.systems
    own = {
        "training": ss.Training(max_epochs=25, learning_rate=3e-3),
        "random_state": 0,
    }
    both = f"{COLUMNS} + image(scan)"
    codes = "tabular(age, bmi) + tabular(pca(image(scan), 20))"
    linear = "age + C(stage) + bmi"
    piecewise = f"s(time) + {TABLE}"
    return {
        "Cox, table": ss.SemiStructuredSurvival(TABLE),
        "semi-structured Cox": ss.SemiStructuredSurvival(
            f"{TABLE} + image(scan)", **own
        ),
        "DeepSurv (table)": s.DeepSurv(["age", "stage", "bmi"], **own),
        "DeepConvSurv": s.DeepConvSurv("scan", **own),
        "WideDeepSurv": s.WideDeepSurv("image(scan)", linear, **own),
        "MultiSurv": s.MultiSurv(both, **own),
        "PancancerSurv": s.PancancerSurv(both, **own),
        "DeepCorrSurv": s.DeepCorrSurv(both, **own),
        "DeepPAMM": s.DeepPAMM("image(scan)", piecewise, cuts=30, **own),
        "ConcatAE (20 components of the scan)": s.ConcatAE(codes, **own),
        "CrossAE (20 components of the scan)": s.CrossAE(codes, **own),
    }


def r2_of_one_column(x, y, train, test):
    """Score a line of one column on held-out rows."""
    design = np.column_stack([np.ones(len(x)), x])
    coef = np.linalg.lstsq(design[train], y[train], rcond=None)[0]
    residual = y[test] - design[test] @ coef
    return 1 - (residual**2).sum() / ((y[test] - y[test].mean()) ** 2).sum()


def size_of_tests():
    """Give the share of null data sets with p < .05: corrected, and the plain t."""
    rng, found = np.random.default_rng(0), np.zeros(2)
    for _ in range(SETS):
        X = rng.normal(size=(ROWS, 2))  # two columns that are worth the same
        y = X.sum(axis=1) + rng.normal(size=ROWS)
        gains = []
        for _ in range(REPEATS):
            fold = rng.permutation(ROWS) % FOLDS
            for k in range(FOLDS):
                parts = y, fold != k, fold == k
                a, b = (r2_of_one_column(X[:, j], *parts) for j in (0, 1))
                gains.append(a - b)
        test = ROWS // FOLDS
        corrected = ss.estimators.corrected_resampled_ttest(gains, ROWS - test, test)
        found += [corrected.p_value < 0.05, stats.ttest_1samp(gains, 0).pvalue < 0.05]
    return found / SETS


def main():
    """Print the tables."""
    warnings.simplefilter("ignore")
    X, y = ss.datasets.make_survival_digits(900, random_state=0)
    new, y_new = ss.datasets.make_survival_digits(600, random_state=1)
    ibs = ss.metrics.scorer("ibs")
    every = models()
    print("| model | C | IBS |\n|---|---|---|")
    for name, model in every.items():
        model.fit(X, y)
        c, loss = model.score(new, y_new), -ibs(model, new, y_new)
        print(f"| {name} | {c:.3f} | {loss:.3f} |", flush=True)
    found = ss.compare_modalities(
        every["semi-structured Cox"],
        X,
        y,
        {"table": TABLE, "scan": "image(scan)"},
        metrics=["harrell", "ibs"],
        n_boot=200,
        random_state=0,
    )
    print(f"\n```\n{found}\n```")
    corrected, plain = size_of_tests()
    print("\n| test | false gains at .05 |\n|---|---|")
    print(f"| corrected resampled t | {corrected:.3f} |\n| plain t | {plain:.3f} |")


if __name__ == "__main__":
    main()
