"""Losses of discrete-time survival models that are no log-likelihood.

Letters: B rows, J intervals, C causes, K linear predictors, w weights. A target has
the columns s (intervals survived), event code and, with left truncation, e (intervals
begun before the row was at risk).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from semistruct._core.validation import check_number
from semistruct.exceptions import ParameterError
from semistruct.families import (
    DiscreteTimeFamily,
    LogisticHazard,
    interval_indicators,
)
from semistruct.objectives._base import Batch, Objective, StepOutput


def deephit_ranking_loss(
    incidence: Tensor, y: Tensor, sigma: float = 0.1, weight: Tensor | None = None
) -> Tensor:
    """Mean over comparable pairs of exp(−(F_c(T_i | i) − F_c(T_i | j)) / σ).

    A pair (i, j) is comparable for cause c when i had an event of cause c, in interval
    T_i, which j was at risk in and has survived: a later event of any cause, or
    censoring at the end of T_i or later.

    Parameters
    ----------
    incidence : Tensor of shape (C, B, J)
        Cumulative incidences F_c at the ends of the intervals.
    y : Tensor of shape (B, 2) or (B, 3)
        See :func:`semistruct.families.interval_indicators`.
    sigma : float, default 0.1
        σ > 0.
    weight : Tensor of shape (B,), optional
        w ≥ 0; a pair has the weight w_i w_j.

    Returns
    -------
    Tensor, scalar
        0 without comparable pairs.

    Notes
    -----
    The pairs of a cause and an interval share T_i, so their sum is the product of a sum
    over i and one over j: O(B·C·J) in time and memory, not O(B²). pycox divides the
    same sum by B², comparable or not.

    References
    ----------
    Lee et al. (2018), doi:10.1609/aaai.v32i1.11842.

    Examples
    --------
    >>> import torch
    >>> from semistruct.objectives import deephit_ranking_loss
    >>> incidence = torch.tensor([[[0.5, 0.6], [0.4, 0.9]]])
    >>> y = torch.tensor([[0.0, 1.0], [2.0, 0.0]])
    >>> round(deephit_ranking_loss(incidence, y).item(), 4)  # exp(−(0.5 − 0.4) / 0.1)
    0.3679
    """
    C, _, J = incidence.shape
    survived, failed = interval_indicators(y, J)  # (B, J)
    causes = torch.arange(1, C + 1, device=y.device)[:, None]
    first = failed & (y[:, 1] == causes)[:, :, None]  # (C, B, J): i
    second = survived.expand(C, -1, -1)  # j
    w = torch.ones_like(y[:, 0]) if weight is None else weight
    w = w.to(incidence.dtype)[:, None]  # (B, 1)
    second = second & (w > 0)
    # exp((F_j − m) / σ) exp((m − F_i) / σ) with m the greatest F_j
    top = torch.where(second, incidence.detach(), 0.0).amax(dim=1, keepdim=True)
    raised = torch.where(first, top - incidence, 0.0) / sigma
    lowered = torch.where(second, incidence - top, 0.0) / sigma
    left = (torch.where(first, torch.exp(raised), 0.0) * w).sum(dim=1)  # (C, J)
    right = (torch.where(second, torch.exp(lowered), 0.0) * w).sum(dim=1)
    pairs = ((first * w).sum(dim=1) * (second * w).sum(dim=1)).sum()
    return (left * right).sum() / _positive(pairs)


def multisurv_loss(
    survival: Tensor, y: Tensor, weight: Tensor | None = None, floor: float = 1e-5
) -> Tensor:
    """Mean over rows and intervals of −log⌈1 + s(q − 1)⌉ − log⌈1 − f q⌉, ⌈·⌉ ≥ floor.

    s = 1 in the intervals that a row has survived, f = 1 in that of its event.

    Parameters
    ----------
    survival : Tensor of shape (B, J)
        q, the probability to survive each interval given that it is reached.
    y : Tensor of shape (B, 2) or (B, 3)
        See :func:`semistruct.families.interval_indicators`;
        ``TimeGrid.target(censored="midpoint")`` counts intervals as MultiSurv does.
    weight : Tensor of shape (B,), optional
        w ≥ 0.
    floor : float, default 1e-5
        Least value inside of a logarithm; below it there is no gradient.

    Returns
    -------
    Tensor, scalar
        Weighted mean; 0 when all weights are 0.

    Notes
    -----
    But for the floor this is the negative log-likelihood of
    :class:`semistruct.families.LogisticHazard` over J, with h = 1 − q.

    References
    ----------
    Vale-Silva and Rohr (2021), doi:10.1038/s41598-021-92799-4; Gensheimer and
    Narasimhan (2019), doi:10.7717/peerj.6257.

    Examples
    --------
    >>> import torch
    >>> from semistruct.objectives import multisurv_loss
    >>> q = torch.tensor([[0.5, 0.5]])
    >>> round(multisurv_loss(q, torch.tensor([[1.0, 1.0]])).item(), 4)  # log 2
    0.6931
    """
    survived, failed = interval_indicators(y, survival.shape[1])
    past = torch.where(survived, survival, 1.0).clamp(min=floor)
    event = torch.where(failed, 1.0 - survival, 1.0).clamp(min=floor)
    rows = -(torch.log(past) + torch.log(event)).mean(dim=1)
    if weight is None:
        return rows.mean()
    return (weight * rows).sum() / _positive(weight.sum())


class DeepHitObjective(Objective):
    """DeepHit's loss α·NLL + (1 − α)·ranking.

    NLL is the negative log-likelihood of a discrete-time family per row, ranking is
    :func:`deephit_ranking_loss`.

    Parameters
    ----------
    network : torch.nn.Module
        Its output has a ``linear_predictor`` of shape (B, K).
    family : DiscreteTimeFamily
        ``PMF`` in the paper; with competing causes ``PMF(J, n_causes=C)``.
    alpha : float, default 0.2
        α in [0, 1].
    sigma : float, default 0.1
        σ > 0 of the ranking.

    Notes
    -----
    Reads ``"y"`` (B, 2) or (B, 3) and, where it is there, ``"weight"`` (B,) from a
    batch. Pairs are those within a batch; `evaluate` takes all rows at once.

    References
    ----------
    Lee et al. (2018), doi:10.1609/aaai.v32i1.11842.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from semistruct.families import PMF
    >>> from semistruct.networks import SemiStructuredNetwork
    >>> from semistruct.objectives import DeepHitObjective
    >>> network = SemiStructuredNetwork({"x": nn.Linear(3, 2)}, {"x": 2}, 2)
    >>> objective = DeepHitObjective(network, PMF(2), alpha=0.5)
    >>> y = torch.tensor([[0.0, 1.0], [2.0, 0.0]])
    >>> out = objective.step({"x": torch.ones(2, 3), "y": y})
    >>> round(out.loss.item(), 4)  # ½ log 3 + ½
    1.0493
    """

    def __init__(
        self,
        network: nn.Module,
        family: DiscreteTimeFamily,
        alpha: float = 0.2,
        sigma: float = 0.1,
    ) -> None:
        owner = "DeepHitObjective"
        check_number(alpha, parameter="alpha", owner=owner, low=0, high=1)
        check_number(sigma, parameter="sigma", owner=owner, low=0, closed="neither")
        if not isinstance(family, DiscreteTimeFamily):
            raise ParameterError(
                parameter="family",
                owner=owner,
                allowed="a discrete-time family, as PMF(n_intervals)",
                given=family,
            )
        super().__init__(network)
        self.family = family
        self.alpha = alpha
        self.sigma = sigma

    def step(self, batch: Batch) -> StepOutput:
        """Score one batch.

        Parameters
        ----------
        batch : dict of str to Tensor
            See the notes of the class.

        Returns
        -------
        StepOutput
            ``n`` is Σ w; the parts are unweighted by α.
        """
        eta = self.network(batch).linear_predictor
        return self._loss(eta, batch["y"], batch.get("weight"))

    def _loss(self, eta: Tensor, y: Tensor, weight: Tensor | None) -> StepOutput:
        values = -self.family.log_density(y, eta)  # (B,)
        n: int | Tensor = len(y)
        if weight is None:
            likelihood = values.mean()
        else:
            n = weight.sum()
            likelihood = (weight * values).sum() / _positive(n)
        incidence = self.family.cumulative_incidence(eta)
        ranking = deephit_ranking_loss(incidence, y, self.sigma, weight)
        loss = self.alpha * likelihood + (1.0 - self.alpha) * ranking
        parts = {
            "negative_log_likelihood": likelihood.detach(),
            "ranking": ranking.detach(),
        }
        return StepOutput(loss, parts, n)

    def _score(self, batches: Iterable[Batch]) -> float:
        """Loss of all rows at once: the pairs are no sum over batches."""
        etas, targets, weights = [], [], []
        for batch in batches:
            etas.append(self.network(batch).linear_predictor)
            targets.append(batch["y"])
            if "weight" in batch:
                weights.append(batch["weight"])
        if not etas:
            return 0.0
        weight = torch.cat(weights) if weights else None
        whole = self._loss(torch.cat(etas).double(), torch.cat(targets), weight)
        return float(whole.loss)


class MultiSurvObjective(Objective):
    """MultiSurv's loss of conditional survival probabilities q = 1 − h.

    The hazards h come from the linear predictors as in ``LogisticHazard``, so its
    exact fit, offsets and curves go with this objective; see :func:`multisurv_loss`.

    Parameters
    ----------
    network : torch.nn.Module
        Its output has a ``linear_predictor`` of shape (B, J).
    family : LogisticHazard
        Link and number of intervals.
    floor : float, default 1e-5
        Least value inside of a logarithm, in (0, 1).

    Notes
    -----
    Reads ``"y"`` (B, 2) or (B, 3) and, where it is there, ``"weight"`` (B,) from a
    batch.

    References
    ----------
    Vale-Silva and Rohr (2021), doi:10.1038/s41598-021-92799-4.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from semistruct.families import LogisticHazard
    >>> from semistruct.networks import SemiStructuredNetwork
    >>> from semistruct.objectives import MultiSurvObjective
    >>> network = SemiStructuredNetwork({"x": nn.Linear(3, 2)}, {"x": 2}, 2)
    >>> objective = MultiSurvObjective(network, LogisticHazard(2))
    >>> batch = {"x": torch.ones(1, 3), "y": torch.tensor([[1.0, 1.0]])}
    >>> round(objective.step(batch).loss.item(), 4)  # log 2
    0.6931
    """

    def __init__(
        self, network: nn.Module, family: LogisticHazard, floor: float = 1e-5
    ) -> None:
        owner = "MultiSurvObjective"
        check_number(
            floor, parameter="floor", owner=owner, low=0, high=1, closed="neither"
        )
        if not isinstance(family, LogisticHazard):
            raise ParameterError(
                parameter="family",
                owner=owner,
                allowed="a LogisticHazard",
                given=family,
            )
        super().__init__(network)
        self.family = family
        self.floor = floor

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
        y, weight = batch["y"], batch.get("weight")
        q = 1.0 - self.family.hazard(self.network(batch).linear_predictor)
        loss = multisurv_loss(q, y, weight, self.floor)
        n = len(y) if weight is None else weight.sum()
        return StepOutput(loss, {"multisurv": loss.detach()}, n)


def _positive(total: Tensor) -> Tensor:
    """Keep a sum over nothing at 0."""
    return torch.where(total > 0, total, 1)
