"""Settings of training, as an object that grids can reach into."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from sklearn.base import BaseEstimator
from torch import nn

from semistruct._core.validation import check_choice, check_number
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
        check_choice(self.optimizer, _OPTIMIZERS, parameter="optimizer", owner=owner)
        resolve_device(self.device, owner)


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


def make_optimizer(
    parameters: list[nn.Parameter], training: Training
) -> torch.optim.Optimizer:
    """Make the optimiser of the settings, with torch's fused steps."""
    optimizer = _OPTIMIZERS[training.optimizer]
    return optimizer(
        parameters,
        lr=float(training.learning_rate),
        weight_decay=float(training.weight_decay),
        fused=True,
    )


_OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adamw": torch.optim.AdamW,
    "adam": torch.optim.Adam,
    "sgd": partial(torch.optim.SGD, momentum=0.9, nesterov=True),
}
