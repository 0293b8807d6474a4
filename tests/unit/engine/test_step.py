"""Steps of several batches, precision, averages of weights, stages."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from semistruct.engine import (
    Callback,
    Cosine,
    ParameterGroups,
    Stage,
    TensorSource,
    Training,
    train,
)
from semistruct.engine._step import plan_steps
from semistruct.exceptions import ParameterError
from semistruct.networks import SemiStructuredNetwork
from semistruct.objectives import CoxObjective


def weights(objective) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in objective.state_dict().items()}


def distance(one, two) -> float:
    return max(float((one[k] - two[k]).abs().max()) for k in one)


# ---------------------------------------------------------------- accumulation


@pytest.mark.parametrize("n", [1, 3, 63, 256, 257, 1000])
def test_steps_hold_the_rows_of_the_big_batch(n) -> None:
    order = torch.randperm(n)
    big, small = plan_steps(order, 256), plan_steps(order, 64, 4)
    assert len(big.shares) == len(small.shares)
    at = 0
    for rows, share in zip(big.pieces, small.shares, strict=True):
        assert 1 <= len(share) <= 4
        few = small.pieces[at : at + len(share)]
        assert max(map(len, few)) <= 64
        assert torch.equal(torch.cat(few), rows)
        at += len(share)
    half = small.after(1)
    assert half.shares == small.shares[1:]
    assert sum(map(len, half.pieces)) == n - len(big.pieces[0])


@pytest.mark.parametrize(
    ("dtype", "atol"), [(torch.float32, 1e-6), (torch.float64, 1e-12)]
)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n", [512, 601])
def test_four_batches_of_64_are_one_of_256(
    new_objective, dtype, atol, weighted, n
) -> None:
    g = torch.Generator().manual_seed(0)
    rows = {"x": torch.randn(n, 3, generator=g, dtype=dtype)}
    rows["y"] = rows["x"] @ torch.tensor([2.0, -1.0, 0.0], dtype=dtype)
    if weighted:
        rows["weight"] = torch.rand(n, generator=g, dtype=dtype) + 0.1
        rows["weight"][:3] = 0
    source, results = TensorSource(rows), []
    for options in ({"batch_size": 256}, {"batch_size": 64, "accumulate": 4}):
        objective = new_objective().to(dtype)
        # a step of sgd is proportional to the gradient
        settings = Training(5, learning_rate=0.01, optimizer="sgd", **options)
        result = train(objective, source, training=settings)
        results.append((weights(objective), result))
    (one, first), (two, second) = results
    assert distance(one, two) < atol
    for a, b in zip(first.history, second.history, strict=True):
        assert a == pytest.approx(b, rel=10 * atol, abs=10 * atol)
    assert set(first.history[0]) == set(second.history[0])


def test_rows_without_weight_take_a_step_of_nothing(new_objective, rows) -> None:
    objective = new_objective()
    before = weights(objective)
    nothing = TensorSource(rows | {"weight": torch.zeros(200)})
    settings = Training(2, 16, weight_decay=0.0, accumulate=2)
    result = train(objective, nothing, training=settings)
    assert result.history[-1]["train_loss"] == 0
    assert distance(weights(objective), before) == 0


def test_risk_sets_are_those_of_a_batch() -> None:
    """Two batches of a Cox model: the mean of their losses, and not the whole loss."""
    g = torch.Generator().manual_seed(0)
    rows = {
        "x": torch.randn(16, 3, generator=g, dtype=torch.float64),
        "time": torch.rand(16, generator=g, dtype=torch.float64),
        "event": torch.ones(16, dtype=torch.bool),
    }
    network = SemiStructuredNetwork({"x": nn.Linear(3, 2)}, {"x": 2}, 1).double()
    nn.init.ones_(network.heads[0].weight)
    objective = CoxObjective(network)
    order = []

    class Order(TensorSource):
        def take(self, pieces):
            order.extend(pieces)
            return super().take(pieces)

        def to(self, device):
            return self

    first = copy.deepcopy(objective)
    settings = Training(1, 8, accumulate=2)
    result = train(objective, Order(rows), training=settings)
    parts = [first.evaluate([{k: v[i] for k, v in rows.items()}]) for i in order]
    assert result.history[0]["train_loss"] == pytest.approx(sum(parts) / 2)
    assert first.evaluate([rows]) > sum(parts) / 2 + 0.1


# ---------------------------------------------------------------- precision


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_the_network_is_lowered_and_the_loss_is_not(
    objective, source, validation, precision
) -> None:
    kinds = set()
    encoder = objective.network.encoder("x")
    hook = encoder[0].register_forward_hook(lambda m, i, o: kinds.add(o.dtype))
    step = objective.step

    def spied(batch):
        output = step(batch)
        kinds.add(("loss", output.loss.dtype))
        return output

    objective.step = spied
    settings = Training(60, 32, 0.02, precision=precision, device="cpu")
    result = train(objective, source, validation, training=settings)
    hook.remove()
    lower = {"bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    assert kinds == {lower, ("loss", torch.float32)}
    assert result.best_loss < 0.919 + 0.06  # ½ log 2π and little more
    assert "forward" not in vars(objective.network)
    output = objective.network({"x": torch.ones(2, 3)})
    assert output.latents["x"].dtype == torch.float32


def test_what_a_network_gives_comes_back_in_fp32() -> None:
    from semistruct.engine._precision import _full

    low = torch.ones(1, dtype=torch.bfloat16)
    given = {"a": [low, low.double()], "b": (low, 3), "c": low.long()}
    kinds = _full(given)
    assert kinds["a"][0].dtype == torch.float32
    assert kinds["a"][1].dtype == torch.float64
    assert kinds["b"][0].dtype == torch.float32
    assert kinds["b"][1] == 3
    assert kinds["c"].dtype == torch.int64


# ---------------------------------------------------------------- average of weights


def test_the_average_is_what_is_kept(source, new_objective) -> None:
    objective, oracle = new_objective(), {}
    start = weights(objective)

    class Literal(Callback):
        def __init__(self) -> None:
            self.t, self.average = 0, dict(start)

        def on_step_end(self, state) -> None:
            self.t += 1
            d = min(0.9, (1 + self.t) / (10 + self.t))
            now = state.objective.state_dict()
            self.average = {
                k: d * a + (1 - d) * now[k] for k, a in self.average.items()
            }
            oracle.update(now=weights(state.objective))

    literal = Literal()
    settings = Training(4, 32, 0.02, ema=0.9)
    train(objective, source, training=settings, callbacks=[literal])
    assert distance(weights(objective), literal.average) < 1e-6
    assert distance(weights(objective), oracle["now"]) > 1e-3


def test_the_average_is_what_is_validated(source, validation, new_objective) -> None:
    objective = new_objective()
    result = train(
        objective, source, validation, training=Training(5, 32, 0.02, ema=0.95)
    )
    loss = objective.evaluate(validation.batches(64))
    assert loss == pytest.approx(result.best_loss, rel=1e-6)
    plain = new_objective()
    train(plain, source, validation, training=Training(5, 32, 0.02))
    assert distance(weights(plain), weights(objective)) > 1e-3


def test_buffers_are_averaged_and_counters_are_not(source) -> None:
    from semistruct.engine._ema import Ema

    module = nn.BatchNorm1d(3)
    ema = Ema(module, 0.5)
    module(torch.randn(8, 3) + 5)
    ema.update()
    raw = module.running_mean.clone()
    with ema.in_place():
        assert not torch.equal(module.running_mean, raw)
        assert int(module.num_batches_tracked) == 1
    assert torch.equal(module.running_mean, raw)


# ---------------------------------------------------------------- stages


def test_stages_freeze_and_have_rates_of_their_own(source, new_objective) -> None:
    objective, kept = new_objective(dropout=0.5), []
    start = weights(objective)

    class Keep(Callback):
        def on_epoch_end(self, state) -> None:
            kept.append((state.stage, weights(state.objective)))
            encoder = state.objective.network.encoder("x")
            assert encoder.training == (state.stage == 2)

    stages = (
        Stage(3, freeze=("encoders.*",)),
        Stage(2, learning_rate=1e-30, schedule=Cosine()),
    )
    settings = Training(batch_size=32, learning_rate=0.02, stages=stages)
    result = train(objective, source, training=settings, callbacks=[Keep()])
    assert [row["stage"] for row in result.history] == [1, 1, 1, 2, 2]
    assert [row["epoch"] for row in result.history] == [1, 2, 3, 4, 5]
    encoder = [k for k in start if "encoders" in k]
    head = [k for k in start if "heads" in k]
    assert all(torch.equal(kept[2][1][k], start[k]) for k in encoder)
    assert not any(torch.equal(kept[2][1][k], start[k]) for k in head)
    assert distance(kept[2][1], weights(objective)) < 1e-6
    assert all(p.requires_grad for p in objective.parameters())


def test_a_stage_begins_with_the_best_and_has_a_patience_of_its_own(
    source, validation, new_objective
) -> None:
    objective, at = new_objective(), {}

    class Keep(Callback):
        def on_epoch_begin(self, state) -> None:
            at.setdefault(state.stage, (state.epoch, weights(state.objective)))

    bad = ParameterGroups()
    stages = (Stage(50, learning_rate=2.0), Stage(4, learning_rate=1e-30))
    settings = Training(
        batch_size=8, patience=3, stages=stages, groups=bad, min_delta=1e-4
    )
    result = train(objective, source, validation, training=settings, callbacks=[Keep()])
    first = [row for row in result.history if row.get("stage") == 1]
    assert len(first) < 50  # stopped early, and the second stage still began
    assert len(result.history) == 1 + len(first) + 3
    assert at[2][0] == len(first) + 1
    assert distance(at[2][1], weights(objective)) == 0
    assert result.reason == "early_stopping"


def test_a_callback_ends_all_stages(source, objective) -> None:
    class Stop(Callback):
        def on_step_end(self, state) -> None:
            state.stop = True

    settings = Training(stages=(Stage(2), Stage(2)), patience=None)
    result = train(objective, source, training=settings, callbacks=[Stop()])
    assert (result.reason, result.n_epochs) == ("callback", 1)


@pytest.mark.parametrize(
    ("stages", "match"),
    [
        ((), "'stages' of Training"),
        ((3,), "'stages' of Training"),
        ((Stage(0),), "'max_epochs' of Stage"),
        ((Stage(1, freeze="encoders.*"),), "'freeze' of Stage"),
        ((Stage(1, learning_rate=0.0),), "'learning_rate' of Stage"),
        ((Stage(1, schedule="cos"),), "'schedule' of Stage"),
        ((Stage(1, freeze=("coder*",)),), "'freeze' of Stage.*Names are encoders"),
        ((Stage(1, freeze=("*",)),), "leave a parameter to be trained"),
    ],
)
def test_bad_stages_are_named(objective, source, stages, match) -> None:
    with pytest.raises(ParameterError, match=match):
        train(objective, source, training=Training(stages=stages))
    assert all(p.requires_grad for p in objective.parameters())


def test_settings_come_back_from_their_state() -> None:
    import json

    settings = Training(
        schedule=Cosine(3),
        groups=ParameterGroups({"a*": 0.1}, layer_decay=0.5),
        stages=(Stage(2, ("x*",)), Stage(1, schedule="cosine")),
        ema=0.9,
        accumulate=2,
    )
    state = json.loads(json.dumps(settings.to_state()))
    again = Training.from_state(state)
    assert again.get_params() == settings.get_params()
    assert (
        Training.from_state({"max_epochs": 3}).get_params() == Training(3).get_params()
    )


@pytest.mark.parametrize(
    "setting",
    [
        {"accumulate": 0},
        {"ema": 1.0},
        {"precision": "fp8"},
        {"parallel": "tp"},
        {"on_unreadable": "skip"},
        {"groups": {}},
        {"checkpoint": "here"},
    ],
    ids=str,
)
def test_bad_settings_are_named(setting) -> None:
    (name,) = setting
    with pytest.raises(ParameterError, match=f"'{name}' of Training"):
        Training(**setting).check()
