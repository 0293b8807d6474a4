"""The contract of an objective: everything that the engine knows about a model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

Batch = Mapping[str, Tensor]


class StepOutput(NamedTuple):
    """What one batch costs.

    Attributes
    ----------
    loss : Tensor, scalar
        What is minimised: the mean over the batch's rows, differentiable.
    parts : dict of str to Tensor (scalar) or float
        Named pieces of the loss, detached, for the history and for error messages.
    n : int or Tensor (scalar)
        Weight of the batch in the mean of an epoch: its rows, or their total weight.
    """

    loss: Tensor
    parts: Mapping[str, Tensor | float]
    n: int | Tensor


class Objective(nn.Module, ABC):
    """A network and the loss that it is trained on; everything is minimised.

    Parameters
    ----------
    network : torch.nn.Module
        What predicts. A subclass may have parameters of its own; they are trained too.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from semistruct.objectives import Objective, StepOutput
    >>> class MeanSquare(Objective):
    ...     def step(self, batch):
    ...         loss = (self.network(batch["x"])[:, 0] - batch["y"]).square().mean()
    ...         return StepOutput(loss, {"square": loss.detach()}, len(batch["y"]))
    >>> objective = MeanSquare(nn.Linear(3, 1))
    >>> objective.step({"x": torch.zeros(5, 3), "y": torch.zeros(5)}).n
    5
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    @abstractmethod
    def step(self, batch: Batch) -> StepOutput:
        """Score one batch.

        Parameters
        ----------
        batch : dict of str to Tensor
            Inputs of the network and the target, all of B rows.

        Returns
        -------
        StepOutput
        """

    def evaluate(self, batches: Iterable[Batch]) -> float:
        """Score rows that are not learned from, in evaluation mode.

        Parameters
        ----------
        batches : iterable of dict of str to Tensor
            The rows, in batches.

        Returns
        -------
        float
            Mean loss per row.
        """
        modes = {module: module.training for module in self.modules()}
        self.eval()
        try:
            with torch.no_grad():
                return self._score(batches)
        finally:
            for module, training in modes.items():
                module.training = training

    def _score(self, batches: Iterable[Batch]) -> float:
        """Weighted mean of step losses; overridden where losses do not add up."""
        total, weight = 0.0, 0.0
        for batch in batches:
            output = self.step(batch)
            n = float(output.n)
            total += n * float(output.loss)
            weight += n
        return total / weight if weight > 0 else 0.0
