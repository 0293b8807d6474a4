"""The partial likelihood of a subdistribution hazard, for networks.

Letters: B rows, r_i = w_i exp(η_i).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from semistruct.objectives._base import Batch, Objective, StepOutput

_NAME = "negative_log_likelihood"
_NOTHING = -1e30  # logarithm of an empty sum, without infinities in the gradient


def fine_gray_log_likelihood(
    eta: Tensor,
    time: Tensor,
    event: Tensor,
    remaining: Tensor,
    *,
    strata: Tensor | None = None,
    weight: Tensor | None = None,
) -> Tensor:
    """Weighted log partial likelihood of Fine and Gray, with Breslow's ties.

    ℓ = Σ_i w_i [η_i − log S_i] over events of the cause at t_i, with the risk sum
    S_i = Σ_{t_j ≥ t_i} r_j + G_i Σ_{t_j < t_i} r_j / G_j, the second over rows that had
    another event; G is the survival function of censoring.

    Parameters
    ----------
    eta : Tensor of shape (B,)
        Linear predictor.
    time : Tensor of shape (B,)
        End of follow-up.
    event : Tensor of shape (B,)
        1 for an event of the cause, 2 for another, 0 for censored.
    remaining : Tensor of shape (B,)
        G(t_i−) > 0 of each row, of all the data and not of the batch.
    strata : Tensor of shape (B,), optional
        Codes of strata.
    weight : Tensor of shape (B,), optional
        Case weights ≥ 0.

    Returns
    -------
    Tensor, scalar
        0 without events of the cause.

    References
    ----------
    Fine & Gray (1999), doi:10.1080/01621459.1999.10474144

    Examples
    --------
    >>> import torch
    >>> from semistruct.objectives import fine_gray_log_likelihood
    >>> value = fine_gray_log_likelihood(
    ...     torch.zeros(3), torch.tensor([1.0, 2.0, 3.0]), torch.tensor([2, 1, 0]),
    ...     torch.ones(3))
    >>> round(value.item(), 4)  # −log 3: the first row stays at risk
    -1.0986
    """
    if strata is None:
        return _of_stratum(eta, time, event, remaining, weight)
    total = eta.sum() * 0.0
    for code in strata.unique():
        own = strata == code
        w = None if weight is None else weight[own]
        total = total + _of_stratum(eta[own], time[own], event[own], remaining[own], w)
    return total


def _of_stratum(
    eta: Tensor, time: Tensor, event: Tensor, remaining: Tensor, weight: Tensor | None
) -> Tensor:
    order = torch.argsort(time)
    eta, time, event = eta[order], time[order].contiguous(), event[order]
    log_g = remaining[order].to(eta.dtype).log()
    log_risk = eta
    if weight is not None:
        weight = weight[order].to(eta.dtype)
        log_risk = eta + weight.clamp(min=1e-30).log()
    at = torch.nonzero(event == 1)[:, 0]
    if not len(at):
        return eta.sum() * 0.0
    first = torch.searchsorted(time, time[at])  # of the rows with t_j >= t_i
    later = log_risk.flip(0).logcumsumexp(0).flip(0)[first]
    other = torch.where(event == 2, log_risk - log_g, _NOTHING)
    before = torch.cat([other.new_full((1,), _NOTHING), other.logcumsumexp(0)])[first]
    terms = eta[at] - torch.logaddexp(later, before + log_g[at])
    return terms.sum() if weight is None else (weight[at] * terms).sum()


class FineGrayObjective(Objective):
    """Negative log partial likelihood of a subdistribution hazard, per row.

    The loss of a batch takes the batch as its own risk sets; `evaluate` scores all rows
    at once.

    Parameters
    ----------
    network : torch.nn.Module
        Its output has a ``linear_predictor`` of shape (B, 1).

    Notes
    -----
    Reads ``"time"``, ``"event"``, ``"remaining"`` and, where they are there,
    ``"strata"`` and ``"weight"`` from a batch; see `fine_gray_log_likelihood`.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__(network)

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
        value = fine_gray_log_likelihood(
            linear_predictor[:, 0],
            batch["time"],
            batch["event"],
            batch["remaining"],
            strata=batch.get("strata"),
            weight=weight,
        )
        n = torch.as_tensor(float(len(linear_predictor)))
        if weight is not None:
            n = weight.sum()
        loss = -value / torch.where(n > 0, n, 1)
        return StepOutput(loss, {_NAME: loss.detach()}, n)

    def _score(self, batches: object) -> float:
        """Loss of all rows at once."""
        etas: list[Tensor] = []
        rows: dict[str, list[Tensor]] = {}
        for batch in batches:  # type: ignore[attr-defined]
            etas.append(self.network(batch).linear_predictor)
            for key in ("time", "event", "remaining", "strata", "weight"):
                if key in batch:
                    rows.setdefault(key, []).append(batch[key])
        if not etas:
            return 0.0
        whole = {key: torch.cat(values) for key, values in rows.items()}
        return float(self._loss(torch.cat(etas).double(), whole).loss)
