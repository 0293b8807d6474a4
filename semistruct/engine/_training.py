"""Settings of training, as an object that grids can reach into."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from sklearn.base import BaseEstimator

from semistruct._core.validation import check_choice, check_number
from semistruct.engine._checkpoint import Checkpoint
from semistruct.engine._distributed import PARALLEL
from semistruct.engine._groups import OPTIMIZERS, ParameterGroups
from semistruct.engine._precision import PRECISIONS
from semistruct.engine._schedules import (
    Schedule,
    get_schedule,
    schedule_from_state,
    schedule_to_state,
)
from semistruct.engine._stages import Stage
from semistruct.exceptions import ParameterError


class Training(BaseEstimator):
    """How deep terms are trained.

    The constructor only stores; `check` validates, and `train` calls it.

    Parameters
    ----------
    max_epochs : int, default=60
        Passes over the training rows, at most; at least 1.
    batch_size : int, default=64
        Rows in a batch, at most: an epoch is cut into batches of nearly equal size.
    learning_rate : float, default=1e-3
        Step size of the optimiser, > 0.
    weight_decay : float, default=1e-4
        Shrinkage of all weights, ≥ 0 (decoupled in ``"adamw"``).
    optimizer : {"adamw", "adam", "sgd"}, default="adamw"
        ``"sgd"`` has Nesterov momentum of 0.9.
    patience : int or None, default=10
        Epochs without improvement of the validation loss after which training stops;
        None for never. Without validation rows it has no effect.
    validation_fraction : float, default=0.2
        Share of the rows that an estimator sets aside for validation, in [0, 1).
    num_workers : int, default=0
        Processes that read rows from disk; 0 reads them in this one.
    device : str, default="auto"
        ``"auto"`` is CUDA where there is one, otherwise the CPU.
    clip_norm : float or None, default=1.0
        Largest norm of the gradient, > 0; None for no clipping.
    min_delta : float, default=0.0
        By how much a validation loss must fall below the best to count as better, ≥ 0.
    schedule : {"constant", "cosine", "one_cycle", "plateau"} or Schedule, \
            default="constant"
        How the learning rate changes from step to step.
    groups : ParameterGroups, optional
        Learning rates, shrinkage and optimisers of parts of the parameters.
    precision : {"fp32", "bf16", "fp16"}, default="fp32"
        What the network computes in, by autocast; its weights, what it gives and the
        loss are in fp32. ``"fp16"`` scales the loss.
    accumulate : int, default=1
        Batches whose gradients make one step, ≥ 1. A step of 4 batches of 64 is that of
        one batch of 256, where the loss is a weighted mean over rows and the network
        treats rows alone. A Cox loss takes each batch as its own risk sets, and batch
        normalisation each batch as its own.
    ema : float, optional
        Decay in (0, 1) of an exponential moving average of the weights, such as 0.999:
        the average is what is validated and kept.
    stages : sequence of Stage, optional
        Stages one after the other; then their epochs count and ``max_epochs`` does not.
    checkpoint : Checkpoint, optional
        Where to save the state of training, to go on after a breakdown.
    parallel : {"ddp", "fsdp"}, default="ddp"
        How several processes under ``torchrun`` share the work: whole copies of the
        weights, or (FSDP2) shards of them. Without torchrun it has no effect.
    on_unreadable : {"raise", "mask"}, default="raise"
        What an estimator does with a row whose file cannot be read: an error, or the
        modality counts as missing there and one warning at the end names the rows.
    balance : str, optional
        Entry of the rows, such as ``"event"`` of survival data, of whose values each
        batch has its share in every epoch; a Cox loss learns nothing from a batch
        without events. None mixes all rows.

    Examples
    --------
    >>> from semistruct.engine import Training
    >>> Training(max_epochs=5)
    Training(max_epochs=5)
    """

    def __init__(
        self,
        max_epochs: int = 60,
        batch_size: int = 64,
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-4,
        optimizer: str = "adamw",
        patience: int | None = 10,
        validation_fraction: float = 0.2,
        num_workers: int = 0,
        device: str = "auto",
        clip_norm: float | None = 1.0,
        min_delta: float = 0.0,
        schedule: str | Schedule = "constant",
        groups: ParameterGroups | None = None,
        precision: str = "fp32",
        accumulate: int = 1,
        ema: float | None = None,
        stages: Sequence[Stage] | None = None,
        checkpoint: Checkpoint | None = None,
        parallel: str = "ddp",
        on_unreadable: str = "raise",
        balance: str | None = None,
    ) -> None:
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.optimizer = optimizer
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.num_workers = num_workers
        self.device = device
        self.clip_norm = clip_norm
        self.min_delta = min_delta
        self.schedule = schedule
        self.groups = groups
        self.precision = precision
        self.accumulate = accumulate
        self.ema = ema
        self.stages = stages
        self.checkpoint = checkpoint
        self.parallel = parallel
        self.on_unreadable = on_unreadable
        self.balance = balance

    def check(self, owner: str = "Training") -> None:
        """Check all settings.

        Parameters
        ----------
        owner : str, default="Training"
            Who is named in messages.

        Raises
        ------
        ParameterError
            Which setting has a value that it may not have.
        """
        for name, low, none in (
            ("max_epochs", 1, False),
            ("batch_size", 1, False),
            ("patience", 1, True),
            ("num_workers", 0, False),
            ("accumulate", 1, False),
        ):
            value = getattr(self, name)
            check_number(
                value, parameter=name, owner=owner, low=low, integer=True, none=none
            )
        for name, high, closed, none in (
            ("learning_rate", float("inf"), "neither", False),
            ("weight_decay", float("inf"), "left", False),
            ("validation_fraction", 1.0, "left", False),
            ("clip_norm", float("inf"), "neither", True),
            ("min_delta", float("inf"), "left", False),
            ("ema", 1.0, "neither", True),
        ):
            check_number(
                getattr(self, name),
                parameter=name,
                owner=owner,
                low=0.0,
                high=high,
                closed=closed,
                none=none,
            )
        for name, choices in (
            ("optimizer", OPTIMIZERS),
            ("precision", PRECISIONS),
            ("parallel", PARALLEL),
            ("on_unreadable", ("raise", "mask")),
        ):
            check_choice(getattr(self, name), choices, parameter=name, owner=owner)
        for name, kind in (("groups", ParameterGroups), ("checkpoint", Checkpoint)):
            value = getattr(self, name)
            if value is None:
                continue
            if not isinstance(value, kind):
                raise ParameterError(
                    parameter=name,
                    owner=owner,
                    allowed=f"a {kind.__name__} or None",
                    given=value,
                )
            value.check(f"{kind.__name__} ({owner})")
        if self.balance is not None and not isinstance(self.balance, str):
            raise ParameterError(
                parameter="balance",
                owner=owner,
                allowed="the name of an entry of the rows, such as 'event', or None",
                given=self.balance,
            )
        if self.parallel == "fsdp" and (
            self.precision == "fp16" or self.checkpoint is not None
        ):
            raise ParameterError(
                parameter="parallel",
                owner=owner,
                allowed="'ddp' with fp16 or with a checkpoint",
                given=self.parallel,
            )
        self._check_stages(owner)
        get_schedule(self.schedule, owner)
        resolve_device(self.device, owner)

    def _check_stages(self, owner: str) -> None:
        if self.stages is None:
            return
        listed = isinstance(self.stages, tuple | list) and len(self.stages) > 0
        if not listed or not all(isinstance(s, Stage) for s in self.stages):
            raise ParameterError(
                parameter="stages",
                owner=owner,
                allowed="a sequence of Stage objects or None",
                given=self.stages,
            )
        for stage in self.stages:
            stage.check(f"Stage ({owner})")

    def to_state(self) -> dict[str, Any]:
        """Give the settings as JSON types; a ``checkpoint`` stays behind.

        Returns
        -------
        dict of str to object
        """
        state = self.get_params(deep=False)
        stages = None if self.stages is None else [s.to_state() for s in self.stages]
        return {
            **state,
            "schedule": schedule_to_state(self.schedule),
            "groups": None if self.groups is None else self.groups.to_state(),
            "stages": stages,
            "checkpoint": None,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Training:
        """Make the settings from what `to_state` gave.

        Parameters
        ----------
        state : dict of str to object
            Settings that it lacks have their defaults.

        Returns
        -------
        Training
        """
        given = dict(state)
        given["schedule"] = schedule_from_state(given.get("schedule"))
        if given.get("groups") is not None:
            given["groups"] = ParameterGroups(**given["groups"])
        if given.get("stages") is not None:
            given["stages"] = tuple(Stage.from_state(s) for s in given["stages"])
        return cls(**given)


def resolve_device(device: str | torch.device, owner: str = "Training") -> torch.device:
    """Turn the name of a device into one that is there."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    hint = ""
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError):
        found = None
    if found is not None:
        if found.type == "cpu" or (found.type == "cuda" and torch.cuda.is_available()):
            return found
        hint = f"torch finds no usable {found.type} device here."
    raise ParameterError(
        parameter="device",
        owner=owner,
        allowed="'auto', 'cpu', 'cuda' or 'cuda:<number>'",
        given=device,
        hint=hint,
    )
