"""The training loop."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from semistruct.engine._callbacks import (
    Callback,
    EarlyStopping,
    Events,
    History,
    TrainState,
)
from semistruct.engine._finite import check_validation, check_weights, epoch_means
from semistruct.engine._scope import interruptible, on_device, seeded
from semistruct.engine._sources import Source
from semistruct.engine._training import Training, make_optimizer, resolve_device
from semistruct.exceptions import DataError, ParameterError
from semistruct.objectives import Objective, StepOutput


@dataclass(frozen=True)
class TrainResult:
    """How training went; the weights are in the objective.

    Attributes
    ----------
    history : list of dict
        A row for each epoch, see `History`.
    best_epoch : int
        Epoch whose weights were kept; 0 for the state before the first step.
    best_loss : float
        Its validation loss; infinite without validation rows.
    n_epochs : int
        Epochs that were completed.
    reason : {"max_epochs", "early_stopping", "callback", "interrupted"}
        Why it ended.
    """

    history: list[dict[str, float]]
    best_epoch: int
    best_loss: float
    n_epochs: int
    reason: str

    @property
    def interrupted(self) -> bool:
        """Whether the user stopped it."""
        return self.reason == "interrupted"


def train(
    objective: Objective,
    source: Source,
    validation: Source | None = None,
    *,
    training: Training | None = None,
    seed: int = 0,
    callbacks: Sequence[Callback] = (),
) -> TrainResult:
    """Minimise an objective over the rows of a source.

    With validation rows the weights of the best epoch are kept, epoch 0 (before the
    first step) among them; without, those of the last completed epoch. The same holds
    when the user stops with Ctrl-C (once: after the step; twice: KeyboardInterrupt) or
    an error ends it, so that the objective is never left in between.

    Parameters
    ----------
    objective : Objective
        Network and loss. Its weights are changed in place; it comes back in evaluation
        mode, on the device that it came from.
    source : Source
        Training rows, in a new random order each epoch.
    validation : Source, optional
        Rows for early stopping.
    training : Training, optional
        Settings; the defaults when not given.
    seed : int, default=0
        Seeds the order of rows and dropout; torch's global random state is left as it
        was. On a CPU the same seed gives the same weights, bit for bit.
    callbacks : sequence of Callback, default=()
        Called in their order, after the history and early stopping.

    Returns
    -------
    TrainResult

    Raises
    ------
    ParameterError
        When a setting has a value that it may not have.
    DataError
        When a source has no rows.
    TrainingError
        When a loss, a named part of it or the weights are not finite any more. The last
        good weights are in place by then.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from semistruct.engine import TensorSource, Training, train
    >>> from semistruct.families import Gaussian
    >>> from semistruct.networks import SemiStructuredNetwork
    >>> from semistruct.objectives import LikelihoodObjective
    >>> x = torch.linspace(-1, 1, 64)[:, None]
    >>> network = SemiStructuredNetwork({"x": nn.Linear(1, 2)}, {"x": 2}, 1)
    >>> objective = LikelihoodObjective(network, Gaussian())
    >>> result = train(objective, TensorSource({"x": x, "y": 2 * x[:, 0]}),
    ...                training=Training(max_epochs=40, learning_rate=0.05))
    >>> result.n_epochs, result.reason
    (40, 'max_epochs')
    >>> result.history[-1]["train_loss"] < result.history[0]["train_loss"]
    True
    """
    training = Training() if training is None else training
    training.check("Training")
    device = resolve_device(training.device)
    for name, rows in (("source", source), ("validation", validation)):
        if rows is not None and len(rows) == 0:
            raise DataError(f"train: {name} has no rows.")
    source = source.to(device)
    validation = None if validation is None else validation.to(device)
    state = TrainState(
        objective, int(training.max_epochs), validated=validation is not None
    )
    history = History()
    first: list[Callback] = [history]
    if training.patience is not None:
        first.append(EarlyStopping(training.patience))
    events = Events([*first, *callbacks])
    completed = 0
    with (
        on_device(objective, device),
        seeded(seed, device) as generator,
        interruptible(state),
    ):
        parameters = [p for p in objective.parameters() if p.requires_grad]
        if not parameters:
            raise ParameterError(
                parameter="objective",
                owner="train",
                allowed="an objective with a trainable parameter",
                given=type(objective).__name__,
            )
        optimizer = make_optimizer(parameters, training)
        best = _snapshot(objective)
        try:
            if validation is not None:
                state.best_loss = _validate(objective, validation, training, state)
                state.metrics = {"epoch": 0, "validation_loss": state.best_loss}
            events.call("on_train_begin", state)
            while not state.stop and state.epoch < state.max_epochs:
                state.epoch += 1
                events.call("on_epoch_begin", state)
                order = torch.randperm(len(source), generator=generator)
                outputs = _epoch(
                    objective,
                    source,
                    order,
                    optimizer,
                    parameters,
                    training,
                    state,
                    events,
                )
                if state.interrupted:
                    break
                means = epoch_means(outputs, state)
                check_weights(objective, state)
                state.metrics = {"epoch": state.epoch, **means}
                better = True
                if validation is not None:
                    loss = _validate(objective, validation, training, state)
                    state.metrics["validation_loss"] = loss
                    better = loss < state.best_loss - training.min_delta
                    state.best_loss = loss if better else state.best_loss
                if better:
                    state.best_epoch = state.epoch
                    best = _snapshot(objective)
                completed = state.epoch
                events.call("on_epoch_end", state)
        finally:
            objective.load_state_dict(best)
            optimizer.zero_grad(set_to_none=True)
            objective.eval()
            events.call("on_train_end", state)
    return TrainResult(
        history.rows,
        state.best_epoch,
        state.best_loss,
        completed,
        _reason(state, training),
    )


def _epoch(
    objective: Objective,
    source: Source,
    order: Tensor,
    optimizer: torch.optim.Optimizer,
    parameters: list[nn.Parameter],
    training: Training,
    state: TrainState,
    events: Events,
) -> list[StepOutput]:
    """Take the steps of one epoch; nothing here waits for the device."""
    objective.train()
    outputs: list[StepOutput] = []
    on_step_end, clip_norm = events.on_step_end, training.clip_norm
    for batch in source.batches(training.batch_size, order):
        output = objective.step(batch)
        optimizer.zero_grad(set_to_none=True)
        output.loss.backward()
        if clip_norm is not None:
            nn.utils.clip_grad_norm_(parameters, clip_norm)
        optimizer.step()
        outputs.append(StepOutput(output.loss.detach(), output.parts, output.n))
        state.step += 1
        if on_step_end:
            state.output = outputs[-1]
            for call in on_step_end:
                call(state)
        if state.stop:
            break
    return outputs


def _snapshot(objective: Objective) -> dict[str, Any]:
    return {
        name: value.clone() if isinstance(value, Tensor) else copy.deepcopy(value)
        for name, value in objective.state_dict().items()
    }


def _validate(
    objective: Objective, validation: Source, training: Training, state: TrainState
) -> float:
    loss = objective.evaluate(validation.batches(training.batch_size))
    check_validation(loss, state)
    return loss


def _reason(state: TrainState, training: Training) -> str:
    if state.interrupted:
        return "interrupted"
    if not state.stop:
        return "max_epochs"
    waited = state.epoch - state.best_epoch
    patience = training.patience
    early = state.validated and patience is not None and waited >= patience
    return "early_stopping" if early else "callback"
