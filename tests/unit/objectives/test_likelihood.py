from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from semistruct.exceptions import ParameterError
from semistruct.families import Gaussian
from semistruct.networks import SemiStructuredNetwork
from semistruct.objectives import CoxObjective, LikelihoodObjective


def network() -> SemiStructuredNetwork:
    return SemiStructuredNetwork({"x": nn.Linear(2, 2)}, {"x": 2}, 1)


def test_gaussian_loss_is_scipys() -> None:
    y, eta, w = np.array([1.0, 2.0, 4.0]), np.array([0.5, 2.5, 3.0]), [1.0, 2.0, 0.5]
    batch = {
        "x": torch.zeros(3, 2),
        "offset": torch.tensor(eta)[:, None],
        "y": torch.tensor(y),
        "weight": torch.tensor(w, dtype=torch.float64),
    }
    output = LikelihoodObjective(network(), Gaussian(), dispersion=4.0).step(batch)
    expected = -np.average(stats.norm(eta, 2.0).logpdf(y), weights=w)
    assert output.loss.item() == pytest.approx(expected, rel=1e-12)
    assert output.n == 3.5
    assert list(output.parts) == ["negative_log_likelihood"]


def cox_by_hand(eta, time, event, ties) -> float:
    total = 0.0
    for t in {s for s, d in zip(time, event, strict=True) if d}:
        at_risk = sum(math.exp(e) for e, s in zip(eta, time, strict=True) if s >= t)
        rows = zip(eta, time, event, strict=True)
        dead = [e for e, s, d in rows if s == t and d]
        deaths = sum(math.exp(e) for e in dead)
        for k, e in enumerate(dead):
            thinned = k / len(dead) * deaths if ties == "efron" else 0.0
            total += e - math.log(at_risk - thinned)
    return total


@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_cox_loss_is_the_sum_by_hand_per_row(ties) -> None:
    eta = [0.1, -0.4, 1.2, 0.0, 0.7, -1.0]
    time, event = [2.0, 2.0, 3.0, 1.0, 2.0, 5.0], [1, 1, 0, 1, 0, 1]
    batch = {
        "x": torch.zeros(6, 2),
        "offset": torch.tensor(eta, dtype=torch.float64)[:, None],
        "time": torch.tensor(time),
        "event": torch.tensor(event),
    }
    objective = CoxObjective(network(), ties=ties)
    expected = -cox_by_hand(eta, time, event, ties) / 6
    assert objective.step(batch).loss.item() == pytest.approx(expected, rel=1e-10)
    halves = [{k: v[i::2] for k, v in batch.items()} for i in (0, 1)]
    assert objective.evaluate(halves) == pytest.approx(expected, rel=1e-10)
    # the losses of the halves do not add up to it: their risk sets are smaller
    mean = sum(objective.step(half).loss.item() for half in halves) / 2
    assert abs(mean - expected) > 0.05


def test_cox_strata_and_entry_are_read() -> None:
    batch = {
        "x": torch.zeros(4, 2),
        "offset": torch.tensor([[0.3], [0.1], [-0.2], [0.9]], dtype=torch.float64),
        "time": torch.tensor([1.0, 2.0, 3.0, 4.0]),
        "event": torch.tensor([1, 1, 1, 0]),
    }
    objective = CoxObjective(network())
    strata = {"strata": torch.tensor([0, 1, 0, 1])}
    halves = [{k: v[i::2] for k, v in batch.items()} for i in (0, 1)]
    expected = sum(objective.step(half).loss.item() for half in halves) / 2
    assert objective.step(batch | strata).loss.item() == pytest.approx(expected)
    late = {"entry": torch.tensor([0.0, 0.0, 0.0, 3.5])}  # the last joins after all
    kept = {k: v[:3] for k, v in batch.items()}
    expected = objective.step(kept).loss.item() * 3 / 4
    assert objective.step(batch | late).loss.item() == pytest.approx(expected)


def test_a_batch_without_events_costs_nothing() -> None:
    batch = {
        "x": torch.ones(3, 2),
        "time": torch.ones(3),
        "event": torch.zeros(3, dtype=torch.bool),
    }
    loss = CoxObjective(network()).step(batch).loss
    assert loss == 0
    loss.backward()


def test_bad_settings_are_named() -> None:
    with pytest.raises(ParameterError, match="'dispersion' of LikelihoodObjective"):
        LikelihoodObjective(network(), Gaussian(), dispersion=0.0)
    with pytest.raises(ParameterError, match=r"'ties' of CoxObjective.*'efron'"):
        CoxObjective(network(), ties="efon")
