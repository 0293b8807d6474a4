"""Each row stands alone: whatever an estimator says of it, in whatever company.

One row, the whole table, another order, other columns beside, columns in another order:
the same numbers to 1e-5, for every estimator, survival head and way of fusion. The six
models of `tests/contracts/test_estimators.py` are asked for more there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import semistruct as ss
from semistruct.fusion import FUSIONS

N = 90
TRAINING = ss.Training(max_epochs=2, learning_rate=1e-2, validation_fraction=0.0)
OPTIONS: dict[str, Any] = {"training": TRAINING, "random_state": 0}
DEEP = "age + C(stage) + s(bmi, k=5) + image(scan) + omics('rna_*')"
SMALL = {"scan": ss.CNN(width=4, depth=1, output_dim=4)}


def table(n: int = N) -> pd.DataFrame:
    """A table with scans and genes; a few rows lack one of the two."""
    X, _ = ss.datasets.make_regression_digits(n, missing=0.1, random_state=3)
    rng = np.random.default_rng(4)
    genes = rng.normal(size=(n, 3))
    genes[5:9] = np.nan
    X["site"] = rng.choice(list("pq"), size=n)
    return X.assign(**{f"rna_{j}": genes[:, j] for j in range(3)})


def target(kind: str, X: pd.DataFrame) -> Any:
    rng = np.random.default_rng(5)
    eta = 0.03 * (X["age"].to_numpy() - 60) + rng.normal(size=len(X))
    if kind == "class":
        return np.where(eta > 0, "yes", "no")
    if kind in ("times", "causes"):
        death, ends = rng.exponential(np.exp(-eta)), rng.uniform(0, 3, size=len(X))
        time, event = np.minimum(death, ends), death < ends
        if kind == "times":
            return ss.Surv(time, event)
        cause = np.where(event, rng.choice(["relapse", "death"], size=len(X)), "none")
        return ss.Surv.from_status(time, cause, censored="none")
    return np.exp(eta) if kind == "positive" else eta


class Case:
    """An estimator, the kind of its target, and what it says of rows."""

    def __init__(self, make: Callable[[], Any], kind: str = "number") -> None:
        self.make, self.kind = make, kind  # kind: of the target

    def says(self, model: Any, X: pd.DataFrame) -> dict[str, np.ndarray]:
        found = {}
        if self.kind == "class":  # labels may flip at a tie
            found["proba"] = model.predict_proba(X)
        elif self.kind == "causes":
            for cause, curves in incidences(model, X).items():
                found[f"incidence {cause}"] = curves
        else:
            found["predict"] = np.asarray(model.predict(X))
        if self.kind == "times":
            curves = model.predict_survival_function(X)
            found["survival"] = curves(np.array([0.3, 1.0]))
        if hasattr(model, "predict_terms") and not reads_time(model):
            found["terms"] = model.predict_terms(X).to_numpy()
        if hasattr(model, "contributions"):
            found["contributions"] = model.contributions(X).to_numpy(dtype=float)
        return found


def reads_time(model: Any) -> bool:
    """Whether its terms are those of a time, which the table does not hold."""
    return isinstance(getattr(model, "head", None), ss.heads.PAMM | ss.heads.Discrete)


def incidences(model: Any, X: pd.DataFrame) -> dict[Any, np.ndarray]:
    curves = model.predict_cumulative_incidence_function(X)
    times = np.array([0.3, 1.0])
    if isinstance(curves, dict):
        return {cause: curve(times) for cause, curve in curves.items()}
    return {"one": curves(times)}


def regressor(terms: Any = DEEP, **options: Any) -> Any:
    return ss.SemiStructuredRegressor(terms, encoders=SMALL, **OPTIONS, **options)


def survival(head: Any, terms: str = DEEP) -> Any:
    return ss.SemiStructuredSurvival(terms, head=head, encoders=SMALL, **OPTIONS)


def late(kind: str, how: str, **options: Any) -> ss.LateFusion:
    estimator = getattr(ss, f"SemiStructured{kind}")
    alone = {"training": TRAINING, "random_state": 0}
    members = [
        ("table", estimator("age + C(stage)")),
        ("scan", estimator("image(scan)", encoders=SMALL, **alone)),
        ("genes", estimator("omics('rna_*')", **alone)),
    ]
    return ss.LateFusion(members, how=how, cv=2, random_state=0, **options)


def fused(how: str) -> ss.SemiStructuredRegressor:
    return regressor(
        f"age + fuse(image(scan), omics('rna_*'), how='{how}', head='mlp', "
        "modality_dropout=0.2)"
    )


HEADS = {
    "cox": "cox",
    "weibull": "weibull",
    "lognormal": "lognormal",
    "loglogistic": "loglogistic",
    "exponential": "exponential",
    "pamm": ss.heads.PAMM(cuts=4),
    "discrete": ss.heads.Discrete(cuts=[0.3, 0.8, 1.5]),
    "pmf": ss.heads.Discrete("pmf", cuts=[0.3, 0.8, 1.5]),
}
WIDE = {"crossed": [("stage", "site")], "encoders": SMALL, **OPTIONS}
CASES = {
    "gam": Case(lambda: ss.GAM("age + C(stage) + s(bmi, k=5)")),
    "regressor": Case(regressor),
    "distributional": Case(
        lambda: regressor({"loc": DEEP, "scale": "age + image(scan)"})
    ),
    "gamma": Case(lambda: regressor(family="gamma"), "positive"),
    "early": Case(
        lambda: ss.SemiStructuredRegressor(
            "age + pca(image(scan), 3) + tabular(pca(omics('rna_*'), 2))", **OPTIONS
        )
    ),
    "post hoc": Case(
        lambda: ss.SemiStructuredRegressor(
            "age + tabular(age, bmi)", orthogonalize="post_hoc", **OPTIONS
        )
    ),
    "classifier": Case(
        lambda: ss.SemiStructuredClassifier(DEEP, encoders=SMALL, **OPTIONS), "class"
    ),
    "wide and deep": Case(
        lambda: ss.WideDeepRegressor("age", deep="image(scan)", **WIDE)
    ),
    "wide and deep classes": Case(
        lambda: ss.WideDeepClassifier("age", deep="image(scan)", **WIDE), "class"
    ),
    **{
        f"head {name}": Case(lambda head=head: survival(head), "times")
        for name, head in HEADS.items()
    },
    "head FineGray": Case(
        lambda: survival(ss.heads.FineGray(cause="death"), "age + image(scan)"),
        "causes",
    ),
    "causes": Case(lambda: survival("cox", "age + image(scan)"), "causes"),
    **{f"fuse {how}": Case(lambda how=how: fused(how)) for how in FUSIONS},
    **{
        f"late {how} {kind}": Case(lambda how=how, kind=kind: late(kind, how), target)
        for kind, target, ways in (
            ("Regressor", "number", ("mean", "weighted", "stack")),
            ("Classifier", "class", ("mean", "weighted", "vote", "stack")),
            ("Survival", "times", ("mean", "weighted", "stack")),
        )
        for how in ways
    },
}


def spread(values: np.ndarray) -> float:
    """How far rows differ; NaN is what a member says that is absent."""
    return np.nanmax(np.nanmax(values, axis=0) - np.nanmin(values, axis=0))


def same(found: dict, expected: dict, rows: Any = slice(None)) -> None:
    assert found.keys() == expected.keys()
    for name, values in found.items():
        wanted = expected[name][rows]
        np.testing.assert_allclose(values, wanted, atol=1e-5, rtol=1e-5, err_msg=name)


@pytest.mark.filterwarnings("ignore::semistruct.exceptions.InferenceWarning")
@pytest.mark.parametrize("name", CASES)
def test_a_row_stands_alone(name):
    case, X = CASES[name], table()
    model = case.make().fit(X, target(case.kind, X))
    whole = case.says(model, X)
    assert all(spread(values) > 1e-4 for values in whole.values())
    for row in (0, 6, N - 1):
        same(case.says(model, X.iloc[[row]]), whole, [row])
    order = np.random.default_rng(0).permutation(N)
    same(case.says(model, X.iloc[order]), whole, order)
    other = X[X.columns[::-1]].assign(extra="text", more=np.nan)
    same(case.says(model, other), whole)


def test_every_estimator_fusion_and_head_is_here():
    classes = {type(case.make()).__name__ for case in CASES.values()}
    public = {name for name in ss.__all__ if hasattr(getattr(ss, name), "fit")}
    assert classes == public
    assert {name.removeprefix("fuse ") for name in CASES if "fuse " in name} == set(
        FUSIONS
    )
