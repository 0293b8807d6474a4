"""The life of an estimator among scikit-learn's tools."""

from __future__ import annotations

import copy
import functools

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    train_test_split,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from torch import nn

import semistruct as ss
from semistruct.exceptions import ParameterError

TABLE = "age + C(stage) + s(bmi, k=6)"
SCAN = TABLE + " + image(scan)"


def test_clone_and_parameters(case):
    model = case.make(encoders={"scan": ss.CNN(width=4)})
    copied = clone(model)
    assert copied is not model
    assert copied.encoders["scan"] is not model.encoders["scan"]
    assert repr(copied.get_params()) == repr(model.get_params())
    params = model.get_params()
    assert params["terms"] == SCAN
    assert params["scan__width"] == 4
    assert params["training__max_epochs"] == 3
    assert "scan__width" not in model.get_params(deep=False)
    model.fit(case.X, case.y)
    assert not hasattr(clone(model), "predictor_")
    assert repr(clone(model).get_params()) == repr(params)


def test_fit_changes_no_parameter(case):
    model = case.make(encoders={"scan": ss.CNN(width=4)})
    before = copy.deepcopy(model.__dict__)
    X = case.X.copy()
    model.fit(case.X, case.y)
    assert repr({k: model.__dict__[k] for k in before}) == repr(before)
    pd.testing.assert_frame_equal(case.X, X)


def test_options_reach_the_encoder_whether_given_or_default(case):
    default = case.make()
    assert default.get_params()["scan__width"] == ss.CNN().width
    default.set_params(scan__width=4, scan__depth=1)
    assert repr(default.encoders) == repr({"scan": ss.CNN(width=4, depth=1)})
    given = {"scan": ss.CNN(output_dim=3)}
    model = case.make(encoders=given).set_params(scan__width=4)
    assert repr(model.encoders["scan"]) == repr(ss.CNN(width=4, output_dim=3))
    assert given["scan"].width == 16  # it may belong to another estimator
    named = case.make(encoders={"scan": "mlp"})
    assert named.get_params()["scan__hidden"] == (64,)
    by_formula = case.make("age + image(scan, encoder='mlp')")
    assert by_formula.get_params()["scan__hidden"] == (64,)
    by_label = case.make(encoders={"image(scan)": ss.CNN(width=2)})
    assert by_label.get_params()["image(scan)__width"] == 2
    assert "scan__width" not in by_label.get_params()


def test_the_width_that_is_set_is_the_width_that_is_trained(regression):
    sizes = []
    for width in (2, 8):
        model = regression.make().set_params(scan__width=width)
        model.fit(regression.X, regression.y)
        sizes.append(int(model.summary().deep["weights"].iloc[0]))
    assert sizes[0] < sizes[1]


def test_training_options_are_parameters(case):
    model = case.make(training=None)
    assert model.get_params()["training__max_epochs"] == ss.Training().max_epochs
    assert model.training is None
    model.set_params(training__max_epochs=2, training__batch_size=50)
    assert model.training.max_epochs == 2
    shared = ss.Training(max_epochs=3)
    other = case.make(training=shared).set_params(training__max_epochs=1)
    assert shared.max_epochs == 3
    other.fit(case.X, case.y)
    assert other.history_["epoch"].tolist() == [0, 1]


def test_parameters_are_set_in_the_order_of_their_depth(regression):
    model = regression.make(TABLE, encoders=None)
    model.set_params(scan__width=3, terms=SCAN, training__patience=2)
    assert model.encoders["scan"].width == 3
    assert model.training.patience == 2


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("term", "terms"),
        ("orthogonalise", "orthogonalize"),
        ("scan__widht", "scan__width"),
        ("scam__width", "scan__width"),
        ("training__max_epoch", "training__max_epochs"),
    ],
)
def test_an_unknown_parameter_names_the_nearest(case, name, near):
    with pytest.raises(ParameterError, match=rf"{name}.*Did you mean '{near}'\?"):
        case.make().set_params(**{name: 1})


def test_parameters_can_be_shown_whatever_is_wrong_with_them():
    for wrong in (
        {"encoders": {"scan": "cn"}},
        {"encoders": ["cnn"]},
        {"training": {"max_epochs": 3}},
        {"terms": "age +"},
        {"terms": {"loc": "age"}},
    ):
        model = ss.SemiStructuredRegressor(**({"terms": SCAN} | wrong))
        assert set(wrong) <= set(model.get_params())
        assert type(model).__name__ in repr(model)
        clone(model)


def test_grid_search_over_the_terms(case):
    grid = GridSearchCV(case.make(TABLE), {"terms": ["age", TABLE, SCAN]}, cv=3)
    grid.fit(case.X, case.y)
    scores = grid.cv_results_["mean_test_score"]
    assert np.isfinite(scores).all()
    assert grid.best_params_["terms"] == ("age", TABLE, SCAN)[scores.argmax()]
    assert grid.predict(case.X.head(4)).shape == (4,)


def test_grid_search_over_options(case):
    space = {"scan__width": [2, 4], "training__max_epochs": [1, 2]}
    grid = GridSearchCV(case.make(), space, cv=2, error_score="raise")
    grid.fit(case.X, case.y)
    assert len(grid.cv_results_["params"]) == 4
    best = grid.best_params_
    assert grid.best_estimator_.encoders["scan"].width == best["scan__width"]
    assert grid.best_estimator_.history_["epoch"].max() <= best["training__max_epochs"]


def test_cross_validation_on_a_table_with_images(case):
    scores = cross_val_score(case.make(), case.X, case.y, cv=3, error_score="raise")
    assert scores.shape == (3,)
    assert (scores > (0 if case.name.endswith("Regressor") else 0.45)).all()
    again = cross_val_score(case.make(), case.X, case.y, cv=3)
    np.testing.assert_array_equal(again, scores)
    if not case.name.endswith("Survival"):
        held_out = cross_val_predict(case.make(), case.X, case.y, cv=3)
        assert held_out.shape == (len(case.X),)


def test_train_test_split_keeps_images_and_target_together(case):
    X_train, X_test, y_train, y_test = train_test_split(
        case.X, case.y, test_size=0.25, random_state=0
    )
    assert type(y_train) is type(case.y)
    model = case.make().fit(X_train, y_train)
    assert np.isfinite(model.score(X_test, y_test))


def test_pipeline_with_a_column_transformer(case):
    scale = ColumnTransformer(
        [("scale", StandardScaler(), ["age", "bmi"])],
        remainder="passthrough",
        verbose_feature_names_out=False,
    ).set_output(transform="pandas")
    pipeline = Pipeline([("scale", scale), ("model", case.make())])
    pipeline.fit(case.X, case.y)
    assert isinstance(scale.fit_transform(case.X)["scan"].array, ss.TensorArray)
    assert pipeline.predict(case.X).shape == (len(case.X),)
    pipeline.set_params(model__scan__width=4)
    assert pipeline.get_params()["model__scan__width"] == 4
    grid = GridSearchCV(pipeline, {"model__scan__width": [2, 4]}, cv=2)
    assert np.isfinite(grid.fit(case.X, case.y).best_score_)
    # an affine map of a column changes no structured prediction
    plain = case.make(TABLE).fit(case.X, case.y)
    scaled = make_pipeline(scale, case.make(TABLE)).fit(case.X, case.y)
    found, expected = scaled.predict(case.X), plain.predict(case.X)
    if case.name.endswith("Classifier"):
        assert (found == expected).mean() > 0.99
    else:  # without an intercept only differences are determined
        shift = found.mean() - expected.mean()
        np.testing.assert_allclose(found - shift, expected, atol=1e-4)


def test_pipeline_routes_weights_and_groups(case, monkeypatch):
    seen = {}
    original = type(case.make()).fit

    @functools.wraps(original)
    def record(self, X, y, sample_weight=None, groups=None):
        seen.update(weight=sample_weight, groups=groups)
        return original(self, X, y, sample_weight, groups)

    monkeypatch.setattr(type(case.make()), "fit", record)
    weight = np.random.default_rng(0).uniform(0.5, 2, size=len(case.X))
    groups = np.arange(len(case.X)) // 3
    with sklearn.config_context(enable_metadata_routing=True):
        model = case.make().set_fit_request(sample_weight=True, groups=True)
        pipeline = make_pipeline(FunctionTransformer(), model)
        pipeline.fit(case.X, case.y, sample_weight=weight, groups=groups)
        np.testing.assert_array_equal(seen["weight"], weight)
        np.testing.assert_array_equal(seen["groups"], groups)
        routed = pipeline[-1]
        direct = case.make().fit(case.X, case.y, sample_weight=weight, groups=groups)
        np.testing.assert_array_equal(routed.coef_, direct.coef_)
        without = case.make().fit(case.X, case.y)
        assert np.abs(direct.coef_ - without.coef_).max() > 1e-6
        model.set_score_request(sample_weight=True)
        params = {"groups": groups, "sample_weight": weight}
        result = cross_validate(
            pipeline,
            case.X,
            case.y,
            cv=GroupKFold(2),
            params=params,
            error_score="raise",
        )
        assert np.isfinite(result["test_score"]).all()
        assert len(seen["groups"]) == len(case.X) // 2
        weighted = direct.score(case.X, case.y, sample_weight=weight)
        assert abs(weighted - direct.score(case.X, case.y)) > 1e-5
        refused = make_pipeline(FunctionTransformer(), case.make())
        with pytest.raises(ValueError, match="sample_weight"):
            refused.fit(case.X, case.y, sample_weight=weight)


class Scaled(nn.Module):
    """A user's module with a parameter, a buffer and a shaped output."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)
        self.norm = nn.BatchNorm2d(2)

    def forward(self, x):
        return torch.relu(self.norm(self.conv(x)))


def test_a_module_is_copied_and_not_changed(case):
    torch.manual_seed(0)
    module = Scaled()
    before = copy.deepcopy(module.state_dict())
    model = case.make(encoders={"scan": module}).fit(case.X, case.y)
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert module.training
    assert model.encoders["scan"] is module
    trained = model.predictor_.network.encoder("scan")
    assert not torch.equal(
        dict(trained.named_parameters())["module.conv.weight"], module.conv.weight
    )
    alone = model.predict_terms(case.X.head(1))["image(scan)"]
    together = model.predict_terms(case.X)["image(scan)"].head(1)
    np.testing.assert_allclose(alone, together, atol=1e-5)
    assert not any(key.startswith("scan__") for key in model.get_params())
    again = clone(model).fit(case.X, case.y)
    np.testing.assert_array_equal(again.coef_, model.coef_)


def test_a_module_that_does_not_fit_is_named(regression):
    model = regression.make(encoders={"scan": nn.Linear(5, 2)})
    with pytest.raises(ParameterError, match=r"takes \(B, 1, 8, 8\).*Linear"):
        model.fit(regression.X, regression.y)


def test_an_encoder_of_a_column_that_no_term_reads(regression):
    model = regression.make(encoders={"skan": ss.CNN()})
    with pytest.raises(ParameterError, match=r"encoders.*Did you mean 'scan'\?"):
        model.fit(regression.X, regression.y)
    with pytest.raises(ParameterError, match=r"Did you mean 'cnn'\?"):
        regression.make(encoders={"scan": "cn"}).fit(regression.X, regression.y)
