"""Randomness, the split for early stopping, and Ctrl-C, as the estimators see them."""

from __future__ import annotations

import random
import signal
import threading

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import semistruct as ss
from semistruct.design import StructuredDesign, parse_formula
from semistruct.estimators import _deep_stage
from semistruct.estimators._cox_head import CoxHead
from semistruct.estimators._heads import GlmHead
from semistruct.exceptions import DataError, FitInterruptedWarning, InferenceWarning
from semistruct.families import Bernoulli, Gaussian


def weights(model) -> list[torch.Tensor]:
    return list(model.predictor_.network.state_dict().values())


def test_a_seed_gives_the_same_model_bit_for_bit(case):
    encoders = {"scan": ss.CNN(width=4, dropout=0.3)}
    one = case.make(encoders=encoders, random_state=3).fit(case.X, case.y)
    torch.rand(5)
    np.random.default_rng().random()
    two = case.make(encoders=encoders, random_state=3).fit(case.X, case.y)
    assert all(map(torch.equal, weights(one), weights(two)))
    np.testing.assert_array_equal(one.coef_, two.coef_)
    pd.testing.assert_frame_equal(one.history_, two.history_)
    np.testing.assert_array_equal(one.predict(case.X), two.predict(case.X))
    other = case.make(encoders=encoders, random_state=4).fit(case.X, case.y)
    assert not all(map(torch.equal, weights(one), weights(other)))


def test_a_generator_is_advanced(case):
    rng = np.random.default_rng(0)
    model = case.make(random_state=rng)
    one = weights(model.fit(case.X, case.y))
    two = weights(model.fit(case.X, case.y))
    assert not all(map(torch.equal, one, two))
    again = case.make(random_state=np.random.default_rng(0)).fit(case.X, case.y)
    assert all(map(torch.equal, one, weights(again)))


def test_global_random_states_are_left_alone(case):
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    random.seed(1)
    before = torch.get_rng_state(), np.random.get_state()[1], random.getstate()  # noqa: NPY002
    threads = torch.get_num_threads()
    model = case.make(random_state=None, encoders={"scan": ss.CNN(dropout=0.2)})
    model.fit(case.X, case.y).predict(case.X)
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
    assert random.getstate() == before[2]
    assert torch.get_num_threads() == threads


@pytest.fixture
def sources(monkeypatch):
    """The training and validation rows of each training."""
    seen = []
    original = _deep_stage.train

    def train(objective, source, validation=None, **options):
        seen.append((source, validation))
        return original(objective, source, validation, **options)

    monkeypatch.setattr(_deep_stage, "train", train)
    return seen


@pytest.mark.parametrize("n_groups", [2, 7, 60])
def test_groups_are_never_torn(case, sources, n_groups):
    """Each row carries its group's number in its scan, so that it can be read back."""
    n = len(case.X)
    rng = np.random.default_rng(n_groups)
    groups = rng.permutation(np.arange(n) % n_groups)
    block = np.zeros((n, 2, 2))
    block[:, 0, 0] = groups
    X = case.X.assign(scan=ss.TensorArray(block))
    case.make("age + image(scan)").fit(X, case.y, groups=[f"g{i}" for i in groups])
    train, validation = (s.tensors["scan"][:, 0, 0, 0].unique() for s in sources[0])
    assert len(train) + len(validation) == n_groups
    assert not np.intersect1d(train, validation).size
    assert len(sources[0][0]) + len(sources[0][1]) == n


def test_the_ids_of_a_survival_target_are_groups(survival, sources):
    n = len(survival.X)
    ids = np.arange(n) // 4
    block = np.zeros((n, 2, 2))
    block[:, 0, 0] = ids
    X = survival.X.assign(scan=ss.TensorArray(block))
    y = ss.Surv(survival.y.time, survival.y.event, id=[f"p{i}" for i in ids])
    survival.make("age + image(scan)").fit(X, y)
    train, validation = (s.tensors["scan"][:, 0, 0, 0].unique() for s in sources[0])
    assert not np.intersect1d(train, validation).size
    assert len(train) + len(validation) == n // 4


def test_groups_that_cannot_be_used(regression):
    X, y = regression.X, regression.y
    for groups, message in (
        (np.zeros(len(X)), "All rows are of one group"),
        (np.zeros(3), r"groups must have shape \(240,\); got \(3,\)"),
        ([None, *range(len(X) - 1)], "groups is missing in row 0"),
    ):
        with pytest.raises(DataError, match=message):
            regression.make().fit(X, y, groups=groups)


def test_classes_and_events_keep_their_share():
    y = np.repeat([0.0, 1.0], [90, 10])
    head = GlmHead(Bernoulli(), y)
    for groups in (None, np.arange(100) // 2):
        train, held_out = head.split(0.2, 0, groups)
        assert y[held_out].sum() == pytest.approx(2, abs=1)
        assert len(held_out) == pytest.approx(20, abs=2)
        assert sorted([*train, *held_out]) == list(range(100))
    events = CoxHead(ss.Surv(np.arange(1, 101), y))
    train, held_out = events.split(0.3, 1, None)
    assert y[held_out].sum() == 3


def test_few_rows_of_a_class_or_few_events():
    rare = np.zeros(50)
    rare[0] = 1
    train, held_out = GlmHead(Bernoulli(), rare).split(0.2, 0, None)
    assert len(held_out) == 10
    train, held_out = GlmHead(Bernoulli(), rare).split(0.2, 0, np.arange(50) // 2)
    assert len(train) + len(held_out) == 50
    with pytest.raises(DataError, match=r"events in both parts.*only 1 in all"):
        CoxHead(ss.Surv(np.arange(1, 51), rare)).split(0.2, 0, None)


@pytest.mark.filterwarnings("ignore::semistruct.exceptions.InferenceWarning")
def test_no_rows_need_be_held_out(case, sources):
    training = ss.Training(max_epochs=2, validation_fraction=0)
    groups = np.zeros(len(case.X))
    model = case.make(training=training).fit(case.X, case.y, groups=groups)
    assert sources[0][1] is None
    assert len(sources[0][0]) == len(case.X)
    assert "validation_loss" not in model.history_
    assert np.isfinite(model.predict_terms(case.X)).all(axis=None)


def test_a_dispersion_of_training_rows_carries_a_warning(regression):
    training = ss.Training(max_epochs=1, validation_fraction=0)
    with pytest.warns(InferenceWarning, match="dispersion comes from rows") as caught:
        regression.make(training=training).fit(regression.X, regression.y)
    assert caught[0].filename == __file__


def test_dispersion_is_that_of_the_held_out_rows():
    """Mean squared residual of the rows held out, n / (n − edf) apart."""
    X, y = ss.datasets.make_regression_digits(200)
    model = ss.SemiStructuredRegressor(
        "age + image(scan)", training=ss.Training(max_epochs=3), random_state=1
    ).fit(X, y)
    head = GlmHead(Gaussian(), y.to_numpy())
    seeds = ss._core.randomness.spawn(1, 3)
    _, held_out = head.split(0.2, seeds[1], None)
    residual = (y - model.predict(X)).to_numpy()[held_out]
    expected = (residual**2).mean() / (1 - 2 / 200)
    assert model.exact_.dispersion == pytest.approx(expected, rel=1e-6)
    design = np.column_stack([np.ones(200), X["age"]])
    cov = expected * np.linalg.inv(design.T @ design)
    np.testing.assert_allclose(model.cov_params_, cov, rtol=1e-6)


def test_precision_weights_count_in_the_held_out_dispersion():
    X, y = ss.datasets.make_regression_digits(200)
    precision = np.random.default_rng(0).uniform(0.2, 5.0, size=200)
    model = ss.SemiStructuredRegressor(
        "age + image(scan)", training=ss.Training(max_epochs=3), random_state=1
    ).fit(X, y, var_weights=precision)
    seeds = ss._core.randomness.spawn(1, 3)
    _, held_out = GlmHead(Gaussian(), y.to_numpy()).split(0.2, seeds[1], None)
    squares = precision * (y - model.predict(X)).to_numpy() ** 2
    expected = squares[held_out].mean() / (1 - 2 / 200)
    assert model.exact_.dispersion == pytest.approx(expected, rel=1e-6)


def test_weights_are_repetition_for_the_dispersion():
    X, y = ss.datasets.make_regression_digits(60)
    design = StructuredDesign.fit(parse_formula("age"), X)
    matrix = design.matrix(X)
    held_out = np.arange(0, 60, 5)
    one = GlmHead(Gaussian(), y.to_numpy(), weight=np.full(60, 3.0))
    two = GlmHead(Gaussian(), np.repeat(y.to_numpy(), 3))
    fits = [
        head.held_out_dispersion(
            head.fit_exact([rows], [design], np.zeros((len(rows), 1))), chosen
        )
        for head, rows, chosen in (
            (one, matrix, held_out),
            (two, np.repeat(matrix, 3, axis=0), np.repeat(3 * held_out, 3)),
        )
    ]
    assert fits[0].dispersion == pytest.approx(fits[1].dispersion, rel=1e-10)
    np.testing.assert_allclose(fits[0].cov, fits[1].cov, rtol=1e-8)


class Interrupting(nn.Module):
    """Presses Ctrl-C in its n-th training step."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Flatten(), nn.Linear(64, 4))
        self.step, self.count = step, 0

    def forward(self, x):
        if self.training:
            self.count += 1
            if self.count == self.step:
                signal.raise_signal(signal.SIGINT)
        return self.inner(x)


@pytest.mark.parametrize(("step", "epochs"), [(1, 0), (9, 2)])
def test_ctrl_c_leaves_the_best_so_far(case, step, epochs):
    before = signal.getsignal(signal.SIGINT)
    training = ss.Training(max_epochs=500, batch_size=64, patience=None)
    model = case.make(encoders={"scan": Interrupting(step)}, training=training)
    with pytest.warns(FitInterruptedWarning, match="was interrupted in epoch") as seen:
        model.fit(case.X, case.y)
    assert seen[0].filename == __file__
    assert len(model.history_) == epochs + 1
    best = int(model.history_["validation_loss"].idxmin())
    assert f"that of epoch {best}" in str(seen[0].message)
    terms = model.predict_terms(case.X)
    assert np.isfinite(terms).all(axis=None)
    assert (terms["image(scan)"] != 0).any() == (best > 0)
    assert np.isfinite(model.score(case.X, case.y))
    assert model.summary() is not None
    if best == 0:
        table = case.make("age + C(stage) + s(bmi, k=6)").fit(case.X, case.y)
        np.testing.assert_allclose(model.coef_, table.coef_, rtol=1e-6)
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_from_outside(regression, tmp_path):
    """The signal comes while the main thread trains, as from a terminal."""
    training = ss.Training(max_epochs=100_000, patience=None)
    model = regression.make(training=training)
    timer = threading.Timer(0.5, signal.raise_signal, [signal.SIGINT])
    timer.start()
    with pytest.warns(FitInterruptedWarning):
        model.fit(regression.X, regression.y)
    timer.join()
    model.save(tmp_path / "m")
    again = ss.load(tmp_path / "m")
    np.testing.assert_array_equal(
        again.predict(regression.X), model.predict(regression.X)
    )


def test_progress_writes_to_stderr_only(regression, capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    regression.make(progress=True).fit(regression.X, regression.y)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "SemiStructuredRegressor" in shown.err
    regression.make().fit(regression.X, regression.y)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("column", ["y", "weight", "offset", "time", "event", "entry"])
def test_a_column_may_have_any_name(case, column):
    """A deep term on a column named as an entry of the batch is that column's."""
    X = case.X.rename(columns={"scan": column})
    model = case.make(f"age + image({column}) + tabular(bmi)").fit(X, case.y)
    plain = case.make("age + image(scan) + tabular(bmi)").fit(case.X, case.y)
    np.testing.assert_array_equal(model.predict(X), plain.predict(case.X))
    assert f"image({column})" in model.predict_terms(X)
    assert f"{column}__width" in model.get_params()
    numbers = case.X.rename(columns={"bmi": column})
    model = case.make(f"age + tabular({column})").fit(numbers, case.y)
    plain = case.make("age + tabular(bmi)").fit(case.X, case.y)
    np.testing.assert_array_equal(model.predict(numbers), plain.predict(case.X))


def test_a_perfect_structured_fit_leaves_nothing_to_learn(regression):
    y = 2 + 3 * regression.X["age"]
    model = regression.make("age + image(scan)").fit(regression.X, y)
    np.testing.assert_allclose(model.coef_, 3, rtol=1e-6)
    np.testing.assert_allclose(model.predict(regression.X), y, rtol=1e-6)
    nothing = regression.make("age + image(scan)").fit(regression.X, 0 * y)
    assert (nothing.predict(regression.X) == 0).all()


def test_summary_without_validation_rows():
    X, y = ss.datasets.make_regression_digits(120)
    training = ss.Training(max_epochs=2, validation_fraction=0.0)
    model = ss.SemiStructuredRegressor(
        "age + image(scan)", training=training, random_state=0
    )
    with pytest.warns(InferenceWarning, match="too small"):
        model.fit(X, y)
    summary = model.summary()
    assert "Best epoch" not in summary.statistics
    assert any("too small" in note for note in summary.notes)
    assert model.predictor_.device == training.device
