"""Negative log-likelihoods. Letters: B rows, K linear predictors, w weights."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from semistruct._core.validation import check_choice, check_number
from semistruct.families import Family, cox_log_likelihood
from semistruct.objectives._base import Batch, Objective, StepOutput

_NAME = "negative_log_likelihood"


class LikelihoodObjective(Objective):
    """Negative log-likelihood of a response family, Σ −w_i ℓ(y_i; η_i) / Σ w_i.

    Parameters
    ----------
    network : torch.nn.Module
        Its output has a ``linear_predictor`` of shape (B, K).
    family : Family
        Gives the log-density ℓ.
    dispersion : float, default=1.0
        φ > 0 of families that have one; held fixed.

    Notes
    -----
    Reads ``"y"`` (B,) and, where it is there, ``"weight"`` (B,) from a batch.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from semistruct.families import Gaussian
    >>> from semistruct.networks import SemiStructuredNetwork
    >>> from semistruct.objectives import LikelihoodObjective
    >>> network = SemiStructuredNetwork({"x": nn.Linear(3, 2)}, {"x": 2}, 1)
    >>> objective = LikelihoodObjective(network, Gaussian())
    >>> batch = {"x": torch.ones(4, 3), "y": torch.zeros(4)}
    >>> round(objective.step(batch).loss.item(), 4)  # ½ log 2π
    0.9189
    """

    def __init__(
        self, network: nn.Module, family: Family, dispersion: float = 1.0
    ) -> None:
        check_number(
            dispersion,
            parameter="dispersion",
            owner="LikelihoodObjective",
            low=0,
            closed="neither",
        )
        super().__init__(network)
        self.family = family
        self.dispersion = dispersion

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
        y = batch["y"]
        eta = self.network(batch).linear_predictor
        values = self.family.log_density(y, eta, self.dispersion)  # (B,)
        weight = batch.get("weight")
        n: int | Tensor = len(y)
        if weight is None:
            loss = -values.mean()
        else:
            n = weight.sum()
            loss = -(weight * values).sum() / _positive(n)
        return StepOutput(loss, {_NAME: loss.detach()}, n)


class CoxObjective(Objective):
    """Negative log partial likelihood of the proportional hazards model, per row.

    The loss of a batch takes the batch as its own risk sets; `evaluate` scores all rows
    at once, as the partial likelihood is no sum over batches.

    Parameters
    ----------
    network : torch.nn.Module
        Its output has a ``linear_predictor`` of shape (B, C), the log hazard ratio of
        each of C causes; C is 1 without competing risks.
    ties : {"efron", "breslow"}, default="efron"
        How tied deaths are treated.

    Notes
    -----
    Reads ``"time"``, ``"event"`` and, where they are there, ``"entry"``, ``"strata"``
    and ``"weight"`` from a batch, each (B,). With C > 1 ``"event"`` is the number
    1 … C of the cause, 0 where censored, and ℓ the sum over the causes. The loss is
    −ℓ / Σ w, and 0 without events. Cox (1975), doi:10.1093/biomet/62.2.269; Efron
    (1977), doi:10.1080/01621459.1977.10480613.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from semistruct.networks import SemiStructuredNetwork
    >>> from semistruct.objectives import CoxObjective
    >>> network = SemiStructuredNetwork({"x": nn.Linear(3, 2)}, {"x": 2}, 1)
    >>> batch = {"x": torch.ones(2, 3), "time": torch.tensor([1.0, 2.0]),
    ...          "event": torch.tensor([True, False])}
    >>> round(CoxObjective(network).step(batch).loss.item(), 4)  # ½ log 2
    0.3466
    """

    def __init__(self, network: nn.Module, ties: str = "efron") -> None:
        check_choice(ties, ("efron", "breslow"), parameter="ties", owner="CoxObjective")
        super().__init__(network)
        self.ties = ties

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
        return self._loss(self.network(batch).linear_predictor, batch)

    def _loss(self, linear_predictor: Tensor, batch: Batch) -> StepOutput:
        weight = batch.get("weight")
        n: int | Tensor = len(batch["time"]) if weight is None else weight.sum()
        causes = linear_predictor.shape[1]
        value = torch.stack(
            [
                cox_log_likelihood(
                    linear_predictor[:, k],
                    batch["time"],
                    batch["event"] == k + 1 if causes > 1 else batch["event"] > 0,
                    entry=batch.get("entry"),
                    strata=batch.get("strata"),
                    weight=weight,
                    ties=self.ties,
                )
                for k in range(causes)
            ]
        ).sum()
        loss = -value / (n if isinstance(n, int) else _positive(n))
        return StepOutput(loss, {_NAME: loss.detach()}, n)

    def _score(self, batches: Iterable[Batch]) -> float:
        """Loss of all rows at once."""
        etas: list[Tensor] = []
        rows: dict[str, list[Tensor]] = {}
        for batch in batches:
            etas.append(self.network(batch).linear_predictor)
            for key in ("time", "event", "entry", "strata", "weight"):
                if key in batch:
                    rows.setdefault(key, []).append(batch[key])
        if not etas:
            return 0.0
        whole = {key: torch.cat(values) for key, values in rows.items()}
        return float(self._loss(torch.cat(etas).double(), whole).loss)


def _positive(total: Tensor) -> Tensor:
    """Keep a batch whose weights are all 0 at a loss of 0."""
    return torch.where(total > 0, total, 1)
