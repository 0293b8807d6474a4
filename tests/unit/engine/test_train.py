from __future__ import annotations

import pytest
import torch
from torch import nn

from semistruct.engine import Callback, TensorSource, Training, train
from semistruct.exceptions import ParameterError
from semistruct.families import Gaussian
from semistruct.networks import SemiStructuredNetwork
from semistruct.objectives import LikelihoodObjective, Objective, StepOutput

QUICK = Training(max_epochs=6, batch_size=32, learning_rate=0.02)


def weights(objective: Objective) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in objective.state_dict().items()}


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[key], two[key]) for key in one)


class AtStep(Callback):
    def __init__(self, step: int, function) -> None:
        self.step, self.function = step, function

    def on_step_end(self, state) -> None:
        if state.step == self.step:
            self.function(state)


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
def test_it_learns_a_known_regression(objective, source, validation, optimizer) -> None:
    settings = Training(
        max_epochs=80, batch_size=32, learning_rate=0.02, optimizer=optimizer
    )
    before = objective.evaluate(validation.batches(50))
    result = train(objective, source, validation, training=settings)
    assert result.best_loss < 0.919 + 0.05 < before  # ½ log 2π and little more
    assert objective.evaluate(validation.batches(50)) == pytest.approx(result.best_loss)


def test_weights_reach_the_loss(rows, new_objective) -> None:
    half = torch.arange(200) < 100
    wrong = rows | {"y": torch.where(half, rows["y"], -5.0)}
    wrong["weight"] = half.double()
    objective = new_objective()
    train(objective, TensorSource(wrong), training=Training(60, 32, 0.02))
    good = TensorSource({k: v[half] for k, v in rows.items()})
    assert objective.evaluate(good.batches(64)) < 1.0


def test_a_separable_scale_of_y_is_learned_at_one_learning_rate(rows) -> None:
    big = rows | {"y": 1e4 * rows["y"], "offset": 1e4 * rows["offset"]}
    encoder = nn.Sequential(nn.Linear(3, 8), nn.Tanh())
    network = SemiStructuredNetwork({"x": encoder}, {"x": 8}, 1, scale=1e4)
    objective = LikelihoodObjective(network, Gaussian(), dispersion=1e8)
    result = train(objective, TensorSource(big), training=Training(80, 32, 0.02))
    assert result.history[-1]["train_loss"] < 0.919 + 9.211 + 0.05  # + log 10⁴


def test_same_seed_same_bits_and_global_state_untouched(
    source, validation, new_objective
) -> None:
    results = []
    for seed in (7, 7, 8):
        torch.manual_seed(len(results))  # whatever stands there
        before = torch.get_rng_state()
        objective = new_objective(dropout=0.3)
        result = train(objective, source, validation, training=QUICK, seed=seed)
        assert torch.equal(torch.get_rng_state(), before)
        results.append((weights(objective), result.history))
    assert same(results[0][0], results[1][0])
    assert results[0][1] == results[1][1]
    assert not same(results[0][0], results[2][0])


def test_history_has_a_row_for_each_epoch(objective, source, validation) -> None:
    result = train(objective, source, validation, training=QUICK)
    assert [row["epoch"] for row in result.history] == list(range(7))
    assert set(result.history[0]) == {"epoch", "validation_loss"}
    part = "train_negative_log_likelihood"
    assert set(result.history[3]) == {"epoch", "train_loss", part, "validation_loss"}
    assert result.history[3][part] == pytest.approx(result.history[3]["train_loss"])
    assert result.n_epochs == 6
    assert result.reason == "max_epochs"
    best = min(result.history, key=lambda row: row["validation_loss"])
    assert best["epoch"] == result.best_epoch
    assert best["validation_loss"] == result.best_loss


def test_history_without_validation(objective, source) -> None:
    result = train(objective, source, training=QUICK)
    assert [row["epoch"] for row in result.history] == list(range(1, 7))
    assert "validation_loss" not in result.history[-1]
    assert result.best_epoch == 6
    assert result.best_loss == float("inf")


class Counted(Objective):
    """Loss 1, 2, 3, … in steps, so that the mean of an epoch is known."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(1, 1))
        self.calls = 0

    def step(self, batch) -> StepOutput:
        self.calls += 1
        loss = self.network(batch["x"]).sum() * 0 + self.calls
        return StepOutput(loss, {"twice": 2.0 * self.calls}, len(batch["x"]))


def test_an_epoch_is_the_mean_over_rows() -> None:
    source = TensorSource({"x": torch.zeros(5, 1)})
    result = train(Counted(), source, training=Training(1, 2))
    assert result.history[0]["train_loss"] == pytest.approx((2 * 1 + 2 * 2 + 3) / 5)
    assert result.history[0]["train_twice"] == pytest.approx(2 * 9 / 5)


def overfitting() -> TensorSource:
    """Validation rows on which learning makes things worse from the first step."""
    g = torch.Generator().manual_seed(3)
    x = torch.randn(50, 3, generator=g)
    return TensorSource({"x": x, "y": -2 * x[:, 0] + x[:, 1]})


def test_epoch_0_is_a_candidate(objective, source) -> None:
    before = weights(objective)
    settings = Training(max_epochs=30, batch_size=32, learning_rate=0.05, patience=4)
    result = train(objective, source, overfitting(), training=settings)
    assert result.best_epoch == 0
    assert result.reason == "early_stopping"
    assert result.n_epochs == 4
    assert same(weights(objective), before)


def test_the_best_epoch_comes_back(objective, source, validation) -> None:
    kept: dict[int, dict[str, torch.Tensor]] = {}

    class Keep(Callback):
        def on_epoch_end(self, state) -> None:
            kept[state.epoch] = weights(state.objective)

    noisy = Training(max_epochs=40, batch_size=8, learning_rate=0.5, patience=5)
    result = train(objective, source, validation, training=noisy, callbacks=[Keep()])
    assert result.reason == "early_stopping"
    assert 0 < result.best_epoch == result.n_epochs - 5
    assert same(weights(objective), kept[result.best_epoch])
    assert not same(weights(objective), kept[result.n_epochs])


def test_patience_none_and_min_delta(objective, source) -> None:
    settings = Training(max_epochs=5, learning_rate=0.05, patience=None)
    result = train(objective, source, overfitting(), training=settings)
    assert (result.n_epochs, result.best_epoch) == (5, 0)
    settings = Training(max_epochs=50, patience=3, min_delta=100.0)
    result = train(objective, source, source, training=settings)
    assert (result.n_epochs, result.best_epoch) == (3, 0)


def test_it_leaves_evaluation_mode_and_no_gradients(new_objective, source) -> None:
    objective = new_objective(dropout=0.5)
    train(objective, source, training=QUICK)
    assert not any(module.training for module in objective.modules())
    assert all(parameter.grad is None for parameter in objective.parameters())


def test_frozen_weights_stay(objective, source) -> None:
    encoder = objective.network.encoder("x")
    encoder.requires_grad_(False)
    before = weights(encoder)
    train(objective, source, training=QUICK)
    assert same(weights(encoder), before)
    objective.requires_grad_(False)
    with pytest.raises(ParameterError, match="trainable parameter"):
        train(objective, source, training=QUICK)


def test_gradients_are_clipped(rows, new_objective) -> None:
    norms = []

    class Norms(Callback):
        def on_step_end(self, state) -> None:
            grads = [p.grad for p in state.objective.parameters()]
            norms.append(float(torch.nn.utils.get_total_norm(grads)))

    for clip in (0.01, None):
        settings = Training(max_epochs=1, clip_norm=clip)
        source = TensorSource(rows)
        train(new_objective(), source, training=settings, callbacks=[Norms()])
    steps = len(norms) // 2
    assert max(norms[:steps]) <= 0.01 * (1 + 1e-5)
    assert max(norms[steps:]) > 1


# ---------------------------------------------------------------- callbacks


def test_events_come_in_order(objective, validation) -> None:
    events = []

    class Log(Callback):
        def __init__(self, name: str) -> None:
            self.name = name

    for event in ("train_begin", "epoch_begin", "step_end", "epoch_end", "train_end"):

        def record(self, state, event=event) -> None:
            events.append((self.name, event, state.epoch, state.step))

        setattr(Log, "on_" + event, record)
    source = TensorSource({k: v[:4] for k, v in validation.tensors.items()})
    settings = Training(max_epochs=2, batch_size=2)
    train(objective, source, training=settings, callbacks=[Log("a"), Log("b")])
    assert events[::2] == [
        ("a", "train_begin", 0, 0),
        ("a", "epoch_begin", 1, 0),
        ("a", "step_end", 1, 1),
        ("a", "step_end", 1, 2),
        ("a", "epoch_end", 1, 2),
        ("a", "epoch_begin", 2, 2),
        ("a", "step_end", 2, 3),
        ("a", "step_end", 2, 4),
        ("a", "epoch_end", 2, 4),
        ("a", "train_end", 2, 4),
    ]
    assert [("b", *rest) for _, *rest in events[::2]] == events[1::2]


def test_observing_changes_nothing(source, validation, new_objective) -> None:
    seen = []

    class Look(Callback):
        def on_step_end(self, state) -> None:
            seen.append(state.output.loss.item())

        def on_epoch_end(self, state) -> None:
            seen.append(state.objective.evaluate(validation.batches(10)))

    one, two = new_objective(dropout=0.2), new_objective(dropout=0.2)
    train(one, source, validation, training=QUICK)
    train(two, source, validation, training=QUICK, callbacks=[Look()])
    assert same(weights(one), weights(two))
    assert len(seen) == 6 * 7 + 6


def test_a_callback_may_stop_in_an_epoch(objective, source, validation) -> None:
    def stop(state) -> None:
        state.stop = True

    at_step_9 = AtStep(9, stop)  # 7 steps an epoch
    result = train(objective, source, validation, training=QUICK, callbacks=[at_step_9])
    assert result.reason == "callback"
    assert not result.interrupted
    assert result.n_epochs == 2  # closed as usual
    assert [row["epoch"] for row in result.history] == [0, 1, 2]


def test_what_a_callback_raises_goes_through(objective, source) -> None:
    ended = []

    class End(Callback):
        def on_train_end(self, state) -> None:
            ended.append(state.epoch)

    before = weights(objective)

    def fail(state) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        train(objective, source, training=QUICK, callbacks=[AtStep(2, fail), End()])
    assert ended == [1]
    assert same(weights(objective), before)
