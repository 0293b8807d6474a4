"""Sums over an epoch, and the alarm when a number in it is not finite."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NoReturn

import torch
from torch import Tensor

from semistruct.engine._callbacks import TrainState
from semistruct.exceptions import TrainingError
from semistruct.objectives import Objective, StepOutput


def epoch_means(outputs: Sequence[StepOutput], state: TrainState) -> dict[str, float]:
    """Mean of the loss and of each part over an epoch, weighted by ``n``.

    Raises TrainingError at the first loss that is not finite, naming its part.
    """
    losses = column([output.loss for output in outputs])
    if not all(map(math.isfinite, losses)):
        _blame(outputs, losses, state)
    sizes = column([output.n for output in outputs])
    means = {"train_loss": _mean(losses, sizes)}
    for name in dict.fromkeys(name for o in outputs for name in o.parts):
        rows = [i for i, output in enumerate(outputs) if name in output.parts]
        values = column([outputs[i].parts[name] for i in rows])
        means[f"train_{name}"] = _mean(values, [sizes[i] for i in rows])
    return means


def check_weights(objective: Objective, state: TrainState) -> None:
    """Raise TrainingError when a weight is not finite, naming it."""
    named = [(k, p) for k, p in objective.named_parameters() if p.requires_grad]
    finite = torch.stack([p.detach().isfinite().all() for _, p in named])
    if not finite.all():
        name = named[int((~finite).nonzero()[0, 0])][0]
        _fail(f"the weights {name!r} became infinite or NaN", state)


def check_validation(loss: float, state: TrainState) -> None:
    """Raise TrainingError when the validation loss is not finite."""
    if not math.isfinite(loss):
        _fail(f"the validation loss is {loss}", state)


def _blame(
    outputs: Sequence[StepOutput], losses: Sequence[float], state: TrainState
) -> NoReturn:
    bad = next(i for i, loss in enumerate(losses) if not math.isfinite(loss))
    parts = outputs[bad].parts.items()
    names = [repr(name) for name, value in parts if not math.isfinite(float(value))]
    what = f"the part {' and '.join(names)} of the loss" if names else "the loss"
    step = state.step - len(outputs) + bad + 1
    _fail(f"{what} became {losses[bad]} at step {step}", state)


def _fail(what: str, state: TrainState) -> NoReturn:
    if state.epoch == 0:
        raise TrainingError(
            f"train: before the first step {what}. Look for missing or extreme values "
            "in the inputs, the offset and the target."
        )
    raise TrainingError(
        f"train: in epoch {state.epoch} {what}; the weights of epoch "
        f"{state.best_epoch} were restored. Try a smaller learning_rate or clip_norm, "
        "and look for extreme values in the inputs."
    )


def _mean(values: Sequence[float], sizes: Sequence[float]) -> float:
    total = sum(sizes)
    if total <= 0:  # all weights are 0
        return sum(values) / len(values)
    return sum(v * n for v, n in zip(values, sizes, strict=True)) / total


def column(values: Sequence[Tensor | float]) -> list[float]:
    """Read numbers off a device with one transfer for all of them."""
    tensors = [value.detach() for value in values if isinstance(value, Tensor)]
    if len(tensors) == len(values):
        return torch.stack(tensors).double().tolist()
    return [float(value) for value in values]
