"""The training loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from semistruct.engine._callbacks import (
    Callback,
    EarlyStopping,
    Events,
    History,
    Progress,
    TrainState,
)
from semistruct.engine._distributed import Processes, join_processes, sharded
from semistruct.engine._precision import lowered
from semistruct.engine._run import Run
from semistruct.engine._schedules import get_schedule
from semistruct.engine._scope import bounded_threads, interruptible, on_device, seeded
from semistruct.engine._sources import Source
from semistruct.engine._training import Training, resolve_device
from semistruct.engine._unreadable import warn_unreadable
from semistruct.exceptions import DataError, ParameterError
from semistruct.objectives import Objective


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
    _check_objective(objective, training, validated=validation is not None)
    stages = training.stages
    epochs = (
        training.max_epochs if stages is None else sum(s.max_epochs for s in stages)
    )
    state = TrainState(objective, int(epochs), validated=validation is not None)
    group = join_processes(device)
    if group.world > 1 and device.type == "cuda":
        device = resolve_device(f"cuda:{group.local_rank}")
    source = source.to(device)
    validation = None if validation is None else validation.to(device)
    state.rank = group.rank
    history = History()
    events = Events(_listeners(history, callbacks, training, group))
    with (
        on_device(objective, device),
        bounded_threads(group.local_world),
        seeded(seed, device, group.rank) as generator,
        interruptible(state),
        sharded(objective, device, training.parallel, group) as trained,
        lowered(trained, training.precision, device),
    ):
        state.objective = trained
        run = Run(
            trained,
            source,
            validation,
            training=training,
            seed=seed,
            state=state,
            history=history,
            events=events,
            generator=generator,
            device=device,
            group=group,
        )
        try:
            reason = run.go()
        finally:
            run.close()
            objective.eval()
    warn_unreadable("train", source, validation)
    return TrainResult(
        history.rows, state.best_epoch, state.best_loss, run.completed, reason
    )


def _listeners(
    history: History,
    callbacks: Sequence[Callback],
    training: Training,
    group: Processes,
) -> list[Callback]:
    """Put the history and early stopping first; one process alone shows progress."""
    own: list[Callback] = [history]
    if training.patience is not None:
        own.append(EarlyStopping(training.patience))
    quiet = group.rank > 0
    return own + [c for c in callbacks if not (quiet and isinstance(c, Progress))]


def _check_objective(
    objective: Objective, training: Training, *, validated: bool
) -> None:
    """Check that there is something to train, and settings that hang together."""
    if not any(p.requires_grad for p in objective.parameters()):
        raise ParameterError(
            parameter="objective",
            owner="train",
            allowed="an objective with a trainable parameter",
            given=type(objective).__name__,
        )
    schedules = [training.schedule]
    if training.stages is not None:
        schedules = [s.schedule or training.schedule for s in training.stages]
    if not validated and any(get_schedule(s).needs_validation for s in schedules):
        raise ParameterError(
            parameter="schedule",
            owner="Training",
            allowed="one that needs no validation rows, as there are none",
            given=training.schedule,
        )
