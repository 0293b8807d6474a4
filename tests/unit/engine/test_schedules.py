"""Schedules: torch's own are the oracle."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn

from semistruct.engine import (
    Constant,
    Cosine,
    OneCycle,
    Plateau,
    TensorSource,
    Training,
    train,
)
from semistruct.exceptions import ParameterError
from semistruct.objectives import Objective, StepOutput


def of_torch(make, steps: int) -> list[float]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule, rates = make(optimizer), []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the optimiser takes no steps
        for _ in range(steps):
            rates.append(optimizer.param_groups[0]["lr"])
            if len(rates) < steps:
                schedule.step()
    return rates


@pytest.mark.parametrize("floor", [0.0, 0.1])
def test_cosine(floor) -> None:
    expected = of_torch(
        lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 37, eta_min=floor), 37
    )
    schedule = Cosine(floor=floor)
    assert [schedule.factor(t, 37, []) for t in range(37)] == pytest.approx(expected)


@pytest.mark.parametrize(("rise", "total"), [(0.3, 50), (0.5, 11)])
def test_one_cycle(rise, total) -> None:
    expected = of_torch(
        lambda o: torch.optim.lr_scheduler.OneCycleLR(
            o, 1.0, total_steps=total, pct_start=rise, cycle_momentum=False
        ),
        total,
    )
    schedule = OneCycle(rise=rise)
    factors = [schedule.factor(t, total, []) for t in range(total)]
    assert factors == pytest.approx(expected, abs=1e-12)


def test_a_short_one_cycle_stays_in_its_range() -> None:
    for total in (1, 2, 3):
        for t in range(total):
            assert 0 <= OneCycle().factor(t, total, []) <= 1


def test_plateau() -> None:
    losses = [3.0, 2.0, 2.1, 2.0, 2.2, 1.9, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0]
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    oracle = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=0.5, patience=2, threshold=0.0, min_lr=0.2
    )
    schedule = Plateau(patience=2, shrink=0.5, floor=0.2)
    for i, loss in enumerate(losses):
        oracle.step(loss)
        now = optimizer.param_groups[0]["lr"]
        assert schedule.factor(0, 1, losses[: i + 1]) == pytest.approx(now)
    assert now == pytest.approx(0.2)


def test_warm_up_is_a_ramp() -> None:
    for schedule in (Constant(3), Cosine(3), Plateau(warmup=3)):
        ramp = [schedule.factor(t, 100, []) for t in range(4)]
        assert ramp == pytest.approx([0.25, 0.5, 0.75, 1.0])


class Slope(Objective):
    """Loss w, whose gradient is 1: each step of Adam moves w by the learning rate."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(1, 1, bias=False))
        nn.init.zeros_(self.network.weight)

    def step(self, batch) -> StepOutput:
        return StepOutput(self.network(batch["x"]).mean(), {}, len(batch["x"]))


@pytest.mark.parametrize(
    "schedule", [Constant(5), Cosine(warmup=2), OneCycle(), "cosine", "constant"]
)
def test_every_step_has_its_rate(schedule) -> None:
    objective = Slope()
    settings = Training(
        max_epochs=3,
        batch_size=4,
        learning_rate=0.01,
        weight_decay=0.0,
        schedule=schedule,
    )
    train(objective, TensorSource({"x": torch.ones(28, 1)}), training=settings)
    rule = {"cosine": Cosine(), "constant": Constant()}.get(str(schedule), schedule)
    moved = sum(0.01 * rule.factor(t, 21, []) for t in range(21))
    assert objective.network.weight.item() == pytest.approx(-moved, rel=1e-4)


def test_plateau_looks_at_validation(objective, source, validation) -> None:
    settings = Training(max_epochs=2, schedule="plateau")
    with pytest.raises(ParameterError, match="needs no validation rows"):
        train(objective, source, training=settings)
    far = Training(
        max_epochs=6,
        learning_rate=0.5,
        patience=None,
        schedule=Plateau(patience=0, shrink=0.01),
        min_delta=0.0,
    )
    result = train(objective, source, validation, training=far)
    assert result.n_epochs == 6


@pytest.mark.parametrize(
    ("schedule", "match"),
    [
        ("cosin", "'schedule' of Training .*cosine"),
        (3, "'schedule' of Training"),
        (Cosine(warmup=-1), "'warmup' of Cosine"),
        (Cosine(floor=1.0), "'floor' of Cosine"),
        (OneCycle(rise=0.0), "'rise' of OneCycle"),
        (OneCycle(start=0.0), "'start' of OneCycle"),
        (OneCycle(end=-1.0), "'end' of OneCycle"),
        (Plateau(patience=-1), "'patience' of Plateau"),
        (Plateau(shrink=1.0), "'shrink' of Plateau"),
    ],
)
def test_bad_schedules_are_named(schedule, match) -> None:
    with pytest.raises(ParameterError, match=match):
        Training(schedule=schedule).check()
