"""Numbers that are not finite: who is to blame, and the weights come back."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from semistruct.engine import Callback, Training, train
from semistruct.exceptions import TrainingError
from semistruct.objectives import Objective, StepOutput

QUICK = Training(max_epochs=6, batch_size=32, learning_rate=0.02)


def weights(objective: Objective) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in objective.state_dict().items()}


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[key], two[key]) for key in one)


class TwoParts(Objective):
    """A loss of two parts, one of which is not finite from some step on."""

    def __init__(self, bad_from: int) -> None:
        super().__init__(nn.Linear(3, 1))
        self.bad_from, self.calls = bad_from, 0

    def step(self, batch) -> StepOutput:
        self.calls += self.training
        fit = (self.network(batch["x"])[:, 0] - batch["y"]).square().mean()
        penalty = self.network.weight.square().sum()
        if self.calls >= self.bad_from:
            penalty = penalty * float("nan")
        parts = {"fit": fit.detach(), "penalty": penalty.detach()}
        return StepOutput(fit + penalty, parts, len(batch["y"]))


@pytest.mark.parametrize("validated", [True, False])
def test_a_nan_part_is_named_and_the_weights_come_back(
    source, validation, validated
) -> None:
    objective, kept = TwoParts(bad_from=17), {}

    class Keep(Callback):
        def on_epoch_end(self, state) -> None:
            kept.update(weights(state.objective))

    with pytest.raises(
        TrainingError, match=r"epoch 3 the part 'penalty' .* nan at step 17; .*epoch 2"
    ):
        train(
            objective,
            source,
            validation if validated else None,
            training=QUICK,
            callbacks=[Keep()],
        )
    assert same(weights(objective), kept)


def test_a_bad_start_is_named(objective, source) -> None:
    bad = copy.deepcopy(source)
    bad.tensors["y"][3] = float("inf")
    with pytest.raises(TrainingError, match="before the first step the validation"):
        train(objective, source, bad, training=QUICK)
    with pytest.raises(TrainingError, match="epoch 1 the part 'negative_log_likeli"):
        train(objective, bad, training=QUICK)


class _Explode(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        return grad * float("nan")


def test_weights_that_explode_in_the_last_step_are_found(source) -> None:
    class Bad(Objective):
        def step(self, batch) -> StepOutput:
            loss = _Explode.apply(self.network(batch["x"])).square().mean()
            return StepOutput(loss, {}, len(batch["x"]))

    objective = Bad(nn.Linear(3, 1))
    before = weights(objective)
    with pytest.raises(TrainingError, match=r"weights 'network.weight' became"):
        train(objective, source, training=Training(max_epochs=1, batch_size=200))
    assert same(weights(objective), before)
