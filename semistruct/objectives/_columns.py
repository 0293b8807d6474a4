"""Likelihoods of several responses, each with a predictor of its own.

Letters: B rows, K responses and linear predictors.
"""

from __future__ import annotations

import torch
from torch import nn

from semistruct.families import Family
from semistruct.objectives._base import Batch, Objective, StepOutput

_NAME = "negative_log_likelihood"


class ColumnwiseObjective(Objective):
    """Negative log-likelihood Σ_i −w_i Σ_k ℓ(y_ik; η_ik) / Σ w_i of K responses.

    The causes of competing risks are such responses: given the covariates their
    likelihoods share no parameter.

    Parameters
    ----------
    network : torch.nn.Module
        Its output has a ``linear_predictor`` of shape (B, K).
    family : Family
        Of one linear predictor and no dispersion: gives ℓ of every response.

    Notes
    -----
    Reads ``"y"`` (B, K) and, where it is there, ``"weight"`` (B,) from a batch.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from semistruct.families import Poisson
    >>> from semistruct.networks import SemiStructuredNetwork
    >>> from semistruct.objectives import ColumnwiseObjective
    >>> network = SemiStructuredNetwork({"x": nn.Linear(3, 2)}, {"x": 2}, 2)
    >>> batch = {"x": torch.ones(4, 3), "y": torch.zeros(4, 2)}
    >>> ColumnwiseObjective(network, Poisson()).step(batch).loss.item()  # 2 exp(0)
    2.0
    """

    def __init__(self, network: nn.Module, family: Family) -> None:
        super().__init__(network)
        self.family = family

    def step(self, batch: Batch) -> StepOutput:
        """Score one batch.

        Parameters
        ----------
        batch : dict of str to Tensor
            See the notes of the class.

        Returns
        -------
        StepOutput
            ``n`` is Σ w.
        """
        y, eta = batch["y"], self.network(batch).linear_predictor
        values = torch.zeros_like(eta[:, 0])
        for k in range(eta.shape[1]):
            values = values + self.family.log_density(y[:, k], eta[:, k : k + 1])
        weight = batch.get("weight")
        if weight is None:
            loss, n = -values.mean(), torch.as_tensor(float(len(y)))
        else:
            n = weight.sum()
            loss = -(weight * values).sum() / torch.where(n > 0, n, 1)
        return StepOutput(loss, {_NAME: loss.detach()}, n)
