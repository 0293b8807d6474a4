"""What a stage of training steps with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from semistruct.engine._distributed import Processes, data_parallel
from semistruct.engine._ema import Ema
from semistruct.engine._groups import make_optimizers
from semistruct.engine._precision import make_scaler
from semistruct.engine._schedules import Schedule, get_schedule
from semistruct.engine._stages import Stage
from semistruct.engine._step import TakeStep, WeightedStep, count_steps, plain_step
from semistruct.engine._training import Training
from semistruct.exceptions import ParameterError
from semistruct.objectives import Objective, StepOutput


@dataclass
class Tools:
    """What a stage steps with; each stage has its own."""

    optimizers: list[torch.optim.Optimizer]
    rates: list[list[float]]
    schedule: Schedule
    total: int
    take: TakeStep
    scaler: torch.amp.GradScaler | None
    ema: Ema | None
    resting: Sequence[nn.Module]
    start: int
    losses: list[float] = field(default_factory=list)


@dataclass
class Epoch:
    """An epoch under way: its order of rows, and what its steps gave so far."""

    order_state: Tensor
    outputs: list[StepOutput] = field(default_factory=list)


def equip(
    objective: Objective,
    stage: Stage,
    training: Training,
    *,
    resting: Sequence[nn.Module],
    rows: int,
    step: int,
    device: torch.device,
    group: Processes,
) -> Tools:
    """Make the tools of a stage over ``rows`` rows that begins after ``step`` steps."""
    parameters = [p for p in objective.parameters() if p.requires_grad]
    if not parameters:
        raise ParameterError(
            parameter="freeze",
            owner="Stage",
            allowed="patterns that leave a parameter to be trained",
            given=stage.freeze,
        )
    rate = stage.learning_rate
    optimizers = make_optimizers(
        objective,
        optimizer=training.optimizer,
        learning_rate=training.learning_rate if rate is None else rate,
        weight_decay=training.weight_decay,
        groups=training.groups,
    )
    size = int(training.batch_size * training.accumulate)
    scaler = make_scaler(training.precision, device)
    if group.world == 1 and training.accumulate == 1 and scaler is None:
        take: TakeStep = plain_step(
            objective, optimizers, parameters, training.clip_norm
        )
    else:
        whole = group.world > 1 and training.parallel == "ddp"
        take = WeightedStep(
            data_parallel(objective) if whole else objective.step,
            optimizers,
            parameters,
            training.clip_norm,
            size,
            scaler,
            group,
        )
    schedule = training.schedule if stage.schedule is None else stage.schedule
    return Tools(
        optimizers=optimizers,
        rates=[[g["lr"] for g in o.param_groups] for o in optimizers],
        schedule=get_schedule(schedule),
        total=int(stage.max_epochs) * count_steps(rows, size),
        take=take,
        scaler=scaler,
        ema=None if training.ema is None else Ema(objective, training.ema),
        resting=resting,
        start=step,
    )
