"""Callbacks: they observe named events; the loop owns the training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from semistruct.exceptions import ParameterError
from semistruct.objectives import Objective, StepOutput


@dataclass
class TrainState:
    """What callbacks may look at; only ``stop`` is theirs to set.

    Attributes
    ----------
    objective : Objective
        What is trained.
    max_epochs : int
        Epochs that will be run, at most.
    epoch : int
        Current epoch, from 1; 0 before the first.
    step : int
        Steps taken, over all epochs.
    output : StepOutput or None
        What the objective said of the last batch (reading a number off it makes a GPU
        wait).
    metrics : dict of str to float
        Row of the history of the epoch that has just ended.
    best_epoch : int
        Epoch whose weights are the best so far; 0 for the state before the first step.
    best_loss : float
        Its validation loss; infinite without validation rows.
    validated : bool
        Whether there are validation rows.
    stop : bool
        Set it to True to end training: after the step when set in a step, and then the
        epoch is closed as usual.
    interrupted : bool
        Whether the user pressed Ctrl-C.
    stage : int
        Number of the stage, from 1.
    stage_start : int
        Last epoch before the stage: patience counts from it.
    rank : int
        Number of this process, from 0; what writes should write in process 0 only.
    """

    objective: Objective
    max_epochs: int
    epoch: int = 0
    step: int = 0
    output: StepOutput | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    best_epoch: int = 0
    best_loss: float = float("inf")
    validated: bool = False
    stop: bool = False
    interrupted: bool = False
    stage: int = 1
    stage_start: int = 0
    rank: int = 0

    @property
    def waited(self) -> int:
        """Epochs since the best one, or since the beginning of the stage."""
        return self.epoch - max(self.best_epoch, self.stage_start)


class Callback:
    """Base of callbacks: write the events that you need.

    Examples
    --------
    >>> from semistruct.engine import Callback
    >>> class StopAfterTen(Callback):
    ...     def on_step_end(self, state):
    ...         state.stop = state.step >= 10
    """

    def on_train_begin(self, state: TrainState) -> None:
        """React before the first epoch; with validation, epoch 0 is scored by then."""

    def on_epoch_begin(self, state: TrainState) -> None:
        """React before the first step of an epoch."""

    def on_step_end(self, state: TrainState) -> None:
        """React to a step of the optimiser."""

    def on_epoch_end(self, state: TrainState) -> None:
        """React to an epoch that was scored; ``state.metrics`` is its row."""

    def on_train_end(self, state: TrainState) -> None:
        """React to the end, however it came; the best weights are in place."""


class History(Callback):
    """Keep a row of numbers for each epoch.

    Attributes
    ----------
    rows : list of dict
        ``epoch``, ``train_loss``, ``train_<part>`` and, with validation rows,
        ``validation_loss``; then the first row is epoch 0, which has no training loss.
        Where there are stages, ``stage`` is the number of the stage.
    """

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []

    def on_train_begin(self, state: TrainState) -> None:
        """Keep epoch 0 where it was scored."""
        self.rows = [dict(state.metrics)] if state.metrics else []

    def on_epoch_end(self, state: TrainState) -> None:
        """Keep the epoch."""
        self.rows.append(dict(state.metrics))


class EarlyStopping(Callback):
    """Ask for an end after some epochs without improvement of the validation loss.

    What an improvement is (``min_delta``), and that the best weights come back, epoch 0
    included, is the loop's own part.

    Parameters
    ----------
    patience : int
        Epochs without improvement, at least 1.
    """

    def __init__(self, patience: int) -> None:
        self.patience = patience

    def on_epoch_end(self, state: TrainState) -> None:
        """Compare with the best epoch."""
        if state.validated and state.waited >= self.patience:
            state.stop = True


class Progress(Callback):
    """Progress bar over epochs, on stderr, by tqdm.

    Parameters
    ----------
    description : str, default="training"
        Text before the bar.
    disable : bool or None, default=None
        None shows the bar only on a terminal.
    """

    def __init__(
        self, description: str = "training", *, disable: bool | None = None
    ) -> None:
        self.description = description
        self.disable = disable
        self._bar: Any = None

    def on_train_begin(self, state: TrainState) -> None:
        """Open the bar."""
        import sys

        from tqdm import tqdm

        self._bar = tqdm(
            total=state.max_epochs,
            desc=self.description,
            unit="epoch",
            initial=state.epoch,
            file=sys.stderr,
            disable=self.disable,
        )

    def on_epoch_end(self, state: TrainState) -> None:
        """Move the bar on."""
        shown = {"loss": f"{state.metrics['train_loss']:.4g}"}
        if state.validated:
            shown["best"] = f"{state.best_loss:.4g} (epoch {state.best_epoch})"
        self._bar.set_postfix(shown, refresh=False)
        self._bar.update()

    def on_train_end(self, state: TrainState) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class Events:
    """The callbacks of one training; a step calls only those that look at steps."""

    def __init__(self, callbacks: Sequence[Callback]) -> None:
        for callback in callbacks:
            if not isinstance(callback, Callback):
                raise ParameterError(
                    parameter="callbacks",
                    owner="train",
                    allowed="a sequence of Callback objects",
                    given=callback,
                )
        self._callbacks = list(callbacks)
        self.on_step_end = [
            callback.on_step_end
            for callback in callbacks
            if type(callback).on_step_end is not Callback.on_step_end
        ]

    def call(self, event: str, state: TrainState) -> None:
        """Call one event of all callbacks, in their order."""
        for callback in self._callbacks:
            getattr(callback, event)(state)
