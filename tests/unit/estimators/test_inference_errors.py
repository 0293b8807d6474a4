"""Strategies, inference and estimands: what cannot be asked for, or only with care."""

from __future__ import annotations

import numpy as np
import pytest

import semistruct as ss
from semistruct.exceptions import DataError, InferenceWarning, ParameterError

from .conftest import quick
from .test_inference import PARAMETRIC, fit, table, targets

# -- what cannot be asked for ------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"strategy": "join"}, r"'strategy' .* one of 'joint'.*mean 'joint'"),
        ({"inference": "crossfit"}, "'inference' .* Did you mean 'cross_fit'"),
        ({"inference": 3}, "or a CrossFit or Bootstrap object; got 3"),
        ({"estimand": "total"}, "'estimand' .* one of 'projection', 'adjusted'"),
        ({"estimand": "adjusted"}, "'cross_fit' where estimand='adjusted'; got 'con"),
        ({"inference": ss.CrossFit(folds=1)}, "'folds' of CrossFit"),
        ({"inference": ss.CrossFit(repeats=0)}, "'repeats' of CrossFit"),
        ({"inference": ss.CrossFit(learner=3)}, "'learner' of CrossFit"),
        ({"inference": ss.Bootstrap(1)}, "'n_replicates' of Bootstrap"),
        ({"inference": ss.Bootstrap(2, n_jobs=0.5)}, "'n_jobs' of Bootstrap"),
        (
            {"inference": "last_layer", "strategy": "two_stage"},
            "'joint' where inference='last_layer'",
        ),
        (
            {"inference": "last_layer", "orthogonalize": "post_hoc"},
            "'global' or 'batch' where inference='last_layer'",
        ),
        (
            {"inference": "cross_fit", "orthogonalize": "none"},
            "neither estimand",
        ),
    ],
)
def test_what_does_not_go_together_is_named(params, words) -> None:
    X, y, _ = table(40)
    with pytest.raises(ParameterError, match=words):
        fit(X, y, **params)


def test_the_adjusted_estimand_is_refused_where_it_is_not_sound() -> None:
    options = {"inference": "cross_fit", "estimand": "adjusted"}
    for kind, X, y in targets(n=60):
        if kind != "Regressor":
            with pytest.raises(ParameterError, match=r"'estimand' .* not collapsible"):
                fit(X, y, kind=kind, **options)
    X, y, _ = table(60)
    for family in ("student_t", "poisson"):
        with pytest.raises(ParameterError, match=f"For {family} a residual"):
            fit(X, np.abs(y).round(), family=family, **options)
    with pytest.raises(ParameterError, match="one formula"):
        fit(X, y, {"loc": PARAMETRIC, "scale": "x1"}, **options)


@pytest.mark.parametrize("head", ["pamm", "weibull", "discrete"])
def test_heads_that_cannot_cross_fit_say_so_or_do(head) -> None:
    X, y = next((X, y) for k, X, y in targets(n=80) if k == "Survival")
    options = {"kind": "Survival", "head": head, "training": quick(max_epochs=1)}
    if head == "weibull":
        model = fit(X, y, inference=ss.CrossFit(folds=2), **options)
        assert np.isfinite(model.cov_params_.to_numpy()).all()
        return
    for inference in ("cross_fit", "bootstrap", "last_layer"):
        with pytest.raises(ParameterError, match=r"'conditional' for "):
            fit(X, y, inference=inference, **options)


def test_an_encoded_covariate_is_refused_when_adjusted() -> None:
    X, y, _ = table(1000)
    X["x1"] = X["u1"] + 0.01 * X["x1"]
    training = ss.Training(max_epochs=40, learning_rate=1e-2, patience=10)
    encoder = {"tabular(u1, u2, u3)": ss.MLP((32,))}
    options = {"inference": ss.CrossFit(folds=2), "estimand": "adjusted"}
    with pytest.raises(DataError, match=r"'x1' \(0\.0.*: the deep input encodes it"):
        fit(X, y, training=training, encoders=encoder, **options)


def test_nothing_deep_needs_no_other_inference() -> None:
    X, y, _ = table(50)
    with pytest.raises(ParameterError, match="'conditional' where no term is deep"):
        fit(X, y, "x1", inference="bootstrap")


def test_too_few_groups_for_the_folds() -> None:
    X, y, _ = table(60)
    with pytest.raises(DataError, match="3 groups cannot be dealt into 5 folds"):
        fit(X, y, inference="cross_fit", fit_params={"groups": np.arange(60) % 3})
    with pytest.warns(InferenceWarning, match="clusters has one row"):
        fit(
            X,
            y,
            inference=ss.CrossFit(folds=2),
            training=quick(max_epochs=1),
            fit_params={"groups": np.arange(60)},
        )


def test_dependent_columns_are_named_when_adjusted() -> None:
    X, y, _ = table(100)
    X["x3"] = X["x1"] + X["x2"]
    options = {"inference": ss.CrossFit(folds=2), "estimand": "adjusted"}
    with pytest.raises(DataError, match="the columns 'x3' are linear combinations"):
        fit(X, y, "x1 + x2 + x3 + tabular(u1)", **options)
