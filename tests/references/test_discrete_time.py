"""Discrete-time likelihoods, ranking loss and grids against pycox."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from semistruct._core.time_grid import TimeGrid
from semistruct.families import MTLR, PMF, LogisticHazard
from semistruct.objectives import deephit_ranking_loss

PEER = json.loads(
    Path(__file__).with_name("discrete_time.json").read_text(encoding="utf-8")
)
PHI = torch.tensor(PEER["phi"], dtype=torch.float64)
SEVERAL = torch.tensor(PEER["phi_causes"], dtype=torch.float64).flatten(1)
INDEX, CODE = np.array(PEER["index"]), np.array(PEER["code"])
N, J = PHI.shape


def target(code):
    """pycox's index of a censored row is the last interval survived."""
    return torch.from_numpy(np.column_stack([INDEX + (code == 0), code])).double()


ONE, BOTH = target(CODE > 0), target(CODE)


@pytest.mark.parametrize("family", [LogisticHazard(J), PMF(J), MTLR(J)], ids=repr)
def test_likelihoods(family):
    found = -family.log_density(ONE, PHI)
    np.testing.assert_allclose(found, PEER[family.name], rtol=1e-10, atol=1e-12)


def test_likelihood_of_causes():
    """pycox adds 1e-7 to each probability before its logarithm."""
    found = torch.exp(PMF(J, n_causes=2).log_density(BOTH, SEVERAL))
    np.testing.assert_allclose(-torch.log(found + 1e-7), PEER["pmf_causes"], rtol=1e-10)


def test_ranking():
    """pycox divides by the square of the batch, we by the number of pairs."""
    share = PEER["pairs"] / N**2
    for family, eta, y, name in (
        (PMF(J), PHI, ONE, "ranking"),
        (PMF(J, n_causes=2), SEVERAL, BOTH, "ranking_causes"),
    ):
        incidence = family.cumulative_incidence(eta)
        found = deephit_ranking_loss(incidence, y, PEER["sigma"]) * share
        assert found.item() == pytest.approx(PEER[name], rel=1e-10)


def test_grid():
    """pycox has an index more, for time 0: an event of our interval j has its j + 1."""
    peer = PEER["grid"]
    grid = TimeGrid(peer["cuts"])
    survived, code = grid.target(peer["time"], peer["event"]).T
    np.testing.assert_array_equal(code, peer["flag"])
    past = np.array(peer["time"]) > grid.cuts[-1]  # censored at the last cut there too
    np.testing.assert_array_equal(survived + (code > 0), peer["index"])
    assert past.any()


def test_cuts_by_quantiles():
    """A cut is the event at which the curve passes a level, pycox's the time before it.

    Both with the greatest time of all as the last.
    """
    peer = PEER["grid"]
    time, event = np.array(peer["time"]), np.array(peer["event"])
    grid = TimeGrid.fit(time, event, 5, "kaplan_meier", last=time.max())
    before = [time[time < cut].max() for cut in grid.cuts[:-1]]
    np.testing.assert_allclose([0.0, *before, grid.cuts[-1]], peer["quantiles"])
