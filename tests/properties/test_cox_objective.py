"""What the Cox loss of a batch must do, whatever the data."""

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from torch import nn

from semistruct.networks import SemiStructuredNetwork
from semistruct.objectives import CoxObjective
from semistruct.solvers import fit_cox_on, risk_sets

KEYS = ("time", "event", "entry", "strata", "weight")


def network():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = SemiStructuredNetwork({"x": nn.Linear(2, 2)}, {"x": 2}, 1)
    return made.double()


@st.composite
def batches(draw):
    """Rows with ties, and each of late entry, strata and weights or not."""
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    n = draw(st.integers(2, 40))
    time = rng.integers(2, draw(st.integers(3, 60)), n).astype(float)
    batch = {
        "x": torch.zeros(n, 2, dtype=torch.float64),
        "offset": torch.as_tensor(3.0 * rng.normal(size=(n, 1))),
        "time": torch.as_tensor(time),
        "event": torch.as_tensor(
            rng.random(n) < draw(st.sampled_from([0.0, 0.3, 1.0]))
        ),
    }
    if draw(st.booleans()):
        batch["entry"] = torch.as_tensor(np.floor(time * rng.random(n)))
    if draw(st.booleans()):
        batch["strata"] = torch.as_tensor(rng.integers(0, 3, n))
    if draw(st.booleans()):
        batch["weight"] = torch.as_tensor(rng.integers(0, 3, n).astype(float))
    return batch


every = pytest.mark.parametrize("ties", ["efron", "breslow"])
few = settings(max_examples=40, deadline=None)


def loss(batch, ties):
    return CoxObjective(network(), ties=ties).step(batch).loss.item()


@every
@few
@given(batches())
def test_order_of_rows_and_origin_and_unit_of_time_do_not_matter(ties, batch):
    expected = loss(batch, ties)
    order = torch.randperm(
        len(batch["time"]), generator=torch.Generator().manual_seed(1)
    )
    mixed = {key: value[order] for key, value in batch.items()}
    assert loss(mixed, ties) == pytest.approx(expected, rel=1e-10, abs=1e-12)
    times = [key for key in ("time", "entry") if key in batch]
    later = batch | {key: batch[key] + 100.0 for key in times}
    assert loss(later, ties) == expected
    months = batch | {key: batch[key] * 12.0 for key in times}
    assert loss(months, ties) == expected


@every
@few
@given(batches())
def test_a_whole_batch_is_the_partial_likelihood_of_the_solver(ties, batch):
    rows = {key: batch[key].numpy() for key in KEYS if key in batch}
    weight = rows.pop("weight", np.ones(len(rows["time"])))
    if not (rows["event"] & (weight > 0)).any():
        assert loss(batch, ties) == 0.0
        return
    sets = risk_sets(**rows, sample_weight=weight, ties=ties)
    none = np.zeros((len(weight), 0))
    fit = fit_cox_on(sets, none, offset=batch["offset"][:, 0].numpy())
    expected = -fit.loglik / weight.sum()
    assert loss(batch, ties) == pytest.approx(expected, rel=1e-9, abs=1e-10)


@every
@few
@given(batches())
def test_far_predictors_give_the_same_loss_and_finite_gradients(ties, batch):
    near = loss(batch, ties)
    far = batch | {"offset": (batch["offset"] + 3000.0).requires_grad_(True)}
    output = CoxObjective(network(), ties=ties).step(far)
    assert output.loss.item() == pytest.approx(near, abs=1e-8)
    output.loss.backward()
    assert far["offset"].grad.isfinite().all()
    # a level does not matter, so its gradient is 0
    assert far["offset"].grad.sum().abs().item() < 1e-9


@every
@few
@given(batches())
def test_without_events_there_is_nothing_to_learn(ties, batch):
    quiet = batch | {"event": torch.zeros_like(batch["event"])}
    objective = CoxObjective(network(), ties=ties)
    output = objective.step(quiet)
    assert output.loss.item() == 0.0
    output.loss.backward()
    for parameter in objective.parameters():
        assert parameter.grad is not None
        assert (parameter.grad == 0).all()
