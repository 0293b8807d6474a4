"""Saved models: JSON and numbers, read without running anything."""

from __future__ import annotations

import contextlib
import json
import os
import pickle

import numpy as np
import pytest
import torch
from torch import nn

import semistruct as ss
from semistruct.exceptions import PersistenceError, SemistructError


def test_round_trip(case, tmp_path):
    options = {"scan": ss.CNN(width=4, output_dim=3)}
    model = case.make(encoders=options).fit(case.X, case.y)
    model.save(tmp_path / "model")
    assert sorted(p.name for p in (tmp_path / "model").iterdir()) == [
        "arrays.safetensors",
        "model.json",
    ]
    again = ss.load(tmp_path / "model")
    np.testing.assert_array_equal(again.predict(case.X), model.predict(case.X))
    assert repr(again.get_params()) == repr(model.get_params())
    if case.name.endswith("Classifier"):
        found, expected = again.predict_proba(case.X), model.predict_proba(case.X)
        np.testing.assert_array_equal(found, expected)
        assert again.classes_.tolist() == model.classes_.tolist()
    if case.name.endswith("Survival"):
        found = again.predict_survival_function(case.X)
        expected = model.predict_survival_function(case.X)
        np.testing.assert_array_equal(found.values, expected.values)
        np.testing.assert_array_equal(found.times, expected.times)
    refitted = again.fit(case.X, case.y)
    np.testing.assert_array_equal(refitted.coef_, model.coef_)


@pytest.mark.parametrize(
    "labels", [["b", "a", "c"], [2, 0, 1], [True, False, True], [1.0, 2.0, 0.0]]
)
def test_labels_keep_their_type(labels, tmp_path):
    x = np.random.default_rng(0).normal(size=(90, 1))
    codes = np.arange(90) % len(labels)
    y = np.array(labels)[codes]
    if isinstance(labels[0], str):
        y = y.astype(object)
    model = ss.SemiStructuredClassifier().fit(x, y)
    model.save(tmp_path / "m")
    again = ss.load(tmp_path / "m")
    found, expected = again.predict(x), model.predict(x)
    assert found.dtype == expected.dtype
    assert found.tolist() == expected.tolist()


def test_strata_come_back(tmp_path, survival):
    for labels in (["a", "b"], [1, 2], [True, False]):
        strata = np.array(labels)[np.arange(len(survival.X)) % 2]
        y = ss.Surv(survival.y.time, survival.y.event, strata=strata)
        model = survival.make("age").fit(survival.X, y)
        model.save(tmp_path / "model")
        again = ss.load(tmp_path / "model")
        assert list(again.baseline_) == list(model.baseline_) == sorted(labels)
        one = again.predict_survival_function(survival.X, strata=strata)
        two = model.predict_survival_function(survival.X, strata=strata)
        np.testing.assert_array_equal(one.values, two.values)


def test_every_kind_of_term_comes_back(tmp_path):
    X, y = ss.datasets.make_regression_digits(150)
    rng = np.random.default_rng(0)
    X = X.assign(site=rng.choice(list("abc"), size=150), level=rng.normal(size=150))
    X["two words"] = rng.normal(size=150)
    terms = (
        "np.log(age) + C(stage) + `two words` + s(bmi, k=6, by=stage)"
        " + te(age, level, k=4) + re(site) + offset(level) + image(scan, by=level)"
    )
    training = ss.Training(max_epochs=2)
    model = ss.SemiStructuredRegressor(terms, training=training).fit(X, y)
    model.save(tmp_path / "m")
    again = ss.load(tmp_path / "m")
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert again.terms_ == model.terms_
    listed = ss.SemiStructuredRegressor(list(model.terms_), training=training)
    listed.fit(X, y).save(tmp_path / "m")
    assert ss.load(tmp_path / "m").terms == list(model.terms_)


def module() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 5), nn.ReLU())


class Own(ss.Encoder):
    def __init__(self, output_dim=3):
        self.output_dim = output_dim

    def build(self, input_shape):
        return nn.Sequential(nn.Flatten(), nn.Linear(64, self.output_dim))


@pytest.mark.parametrize("make", [module, Own])
def test_a_users_own_encoder_is_asked_for(case, tmp_path, make):
    model = case.make(encoders={"scan": make()}).fit(case.X, case.y)
    model.save(tmp_path / "m")
    with pytest.raises(
        PersistenceError, match=r"image\(scan\).*encoders=\{'scan': mod"
    ):
        ss.load(tmp_path / "m")
    given = make()
    own = given.state_dict() if isinstance(given, nn.Module) else {}
    before = {name: value.clone() for name, value in own.items()}
    again = ss.load(tmp_path / "m", encoders={"scan": given})
    np.testing.assert_array_equal(again.predict(case.X), model.predict(case.X))
    for name, value in before.items():
        assert torch.equal(given.state_dict()[name], value)
    assert again.encoders["scan"] is given
    again.fit(case.X, case.y)  # with the encoder that was given
    with pytest.raises(PersistenceError, match="weights do not fit"):
        ss.load(tmp_path / "m", encoders={"scan": nn.Flatten()})


def test_a_fitted_model_owns_its_encoders(regression, tmp_path):
    """What happens to a specification after fit changes no fitted model."""
    X, y, encoders = regression.X, regression.y, {"scan": ss.CNN(width=4)}
    model = regression.make(encoders=encoders).fit(X, y)
    expected = model.predict(X)
    encoders["scan"].width = 32
    model.save(tmp_path / "m")
    np.testing.assert_array_equal(ss.load(tmp_path / "m").predict(X), expected)


def test_a_folder_that_is_no_model(tmp_path):
    with pytest.raises(PersistenceError, match="is not a saved model"):
        ss.load(tmp_path)
    with pytest.raises(PersistenceError, match="is not a saved model"):
        ss.load(tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("mine")
    X, y = ss.datasets.load_rossi()
    model = ss.SemiStructuredSurvival("age").fit(X, y)
    with pytest.raises(PersistenceError, match="left as it is"):
        model.save(tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    with pytest.raises(ss.exceptions.NotFittedError):
        ss.SemiStructuredSurvival("age").save(tmp_path / "m")


@pytest.fixture
def saved(tmp_path):
    X, y = ss.datasets.make_regression_digits(120)
    training = ss.Training(max_epochs=1)
    model = ss.SemiStructuredRegressor(
        "age + C(stage) + s(bmi, k=5) + image(scan)", training=training
    )
    model.fit(X, y).save(tmp_path / "m")
    return tmp_path / "m"


def edit(folder, change) -> None:
    path = folder / "model.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    change(document)
    path.write_text(json.dumps(document), encoding="utf-8")


def test_a_newer_format_or_an_unknown_class(saved):
    edit(saved, lambda d: d.update(version=99))
    with pytest.raises(PersistenceError, match=r"version 99.*Update semistruct"):
        ss.load(saved)
    edit(saved, lambda d: d.update(version=1))
    edit(saved, lambda d: d["state"].update({"class": "os.system"}))
    with pytest.raises(
        PersistenceError, match=r"'os.system'.*known are .*StructuredRegressor"
    ):
        ss.load(saved)
    edit(saved, lambda d: d["state"].update({"class": ["a"]}))
    with pytest.raises(PersistenceError, match="known are"):
        ss.load(saved)


def every_leaf(tree, path=()):
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in items:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from every_leaf(value, (*path, key))


def at(tree, path):
    for key in path:
        tree = tree[key]
    return tree


def test_a_damaged_folder_is_a_named_error(saved):
    text = (saved / "model.json").read_text(encoding="utf-8")
    state = json.loads(text)["state"]
    harmless = 0
    paths = [p for p in every_leaf(state) if "profile" not in p and "history" not in p]
    for path in paths[::3]:

        def spoil(document, path=path):
            at(document["state"], path[:-1])[path[-1]] = {"odd": [None]}

        (saved / "model.json").write_text(text, encoding="utf-8")
        edit(saved, spoil)
        try:
            model = ss.load(saved)
        except SemistructError:
            continue
        harmless += 1  # for instance a name that only messages use
        assert isinstance(model, ss.SemiStructuredRegressor)
    assert len(paths[::3]) > 30
    assert harmless < len(paths[::3]) / 2


def test_loading_runs_no_code(saved, tmp_path, monkeypatch):
    """Neither pickles nor formulas nor names of modules in a folder are run."""
    monkeypatch.setattr(pickle, "load", None)
    monkeypatch.setattr(pickle, "Unpickler", None)
    monkeypatch.setattr(torch, "load", None)
    ss.load(saved)
    witness = tmp_path / "witness"
    X, _ = ss.datasets.make_regression_digits(5)
    code = f"C(__import__('os').system('touch {witness}'))"
    text = (saved / "model.json").read_text(encoding="utf-8")
    assert "touch" not in text
    state = json.loads(text)["state"]
    paths = [path for path in every_leaf(state) if isinstance(at(state, path), str)]
    assert len(paths) > 20
    for path in paths:

        def plant(document, path=path):
            at(document["state"], path[:-1])[path[-1]] = code

        (saved / "model.json").write_text(text, encoding="utf-8")
        edit(saved, plant)
        with contextlib.suppress(SemistructError, LookupError, ValueError):
            model = ss.load(saved)
            model.get_params()
            model.predict(X)
            str(model.summary())
        assert not os.path.exists(witness), path
