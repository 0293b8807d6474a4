"""Balanced batches: shares of strata, each row once, the seed, going on."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.data import Dataset, Subset

from semistruct.engine import (
    Checkpoint,
    DatasetSource,
    TensorSource,
    Training,
    train,
)
from semistruct.engine._balance import balanced_order, row_order
from semistruct.exceptions import ParameterError
from semistruct.networks import SemiStructuredNetwork
from semistruct.objectives import CoxObjective


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def censored(n: int = 203, events: int = 20) -> dict[str, torch.Tensor]:
    g = seeded(4)
    event = torch.zeros(n, dtype=torch.bool)
    event[torch.randperm(n, generator=g)[:events]] = True
    time = torch.rand(n, generator=g, dtype=torch.float64)
    return {"x": torch.randn(n, 3, generator=g), "time": time, "event": event}


@pytest.mark.parametrize("n", [1, 7, 203, 1000])
@pytest.mark.parametrize("share", [0.0, 0.03, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("size", [1, 10, 64])
def test_each_batch_has_its_share_and_each_row_comes_once(n, share, size) -> None:
    labels = torch.rand(n, generator=seeded(1)) < share
    order = balanced_order(labels, seeded(2))
    assert torch.equal(order.sort().values, torch.arange(n))
    rate = labels.double().mean().item()
    for rows in order.tensor_split(-(-n // size)):
        expected = rate * len(rows)
        assert expected - 1 < labels[rows].sum().item() < expected + 1


def test_several_labels_stay_near_their_shares() -> None:
    labels = torch.randint(0, 5, (500,), generator=seeded(3)) ** 2
    order = balanced_order(labels, seeded(2))
    for rows in order.tensor_split(20):
        for label in labels.unique():
            expected = (labels == label).double().mean().item() * len(rows)
            assert abs((labels[rows] == label).sum().item() - expected) < 3


def test_every_row_can_stand_anywhere_and_the_seed_decides() -> None:
    labels = torch.arange(12) < 4
    orders = torch.stack([balanced_order(labels, seeded(s)) for s in range(400)])
    assert torch.equal(orders[7], balanced_order(labels, seeded(7)))
    for column in orders.T:
        assert set(column.tolist()) == set(range(12))
    pairs = {frozenset(row[:3].tolist()) for row in orders}  # who meets whom
    assert len(pairs) > 80


def test_without_a_name_the_order_is_the_plain_one() -> None:
    source = TensorSource(censored())
    expected = torch.randperm(203, generator=seeded(5))
    assert torch.equal(row_order(source, None, seeded(5)), expected)


class Rows(Dataset):
    def __init__(self, tensors) -> None:
        self.tensors = tensors

    def __len__(self) -> int:
        return len(self.tensors["x"])

    def __getitem__(self, i: int) -> dict:
        return {key: value[i] for key, value in self.tensors.items()}


def test_rows_that_are_read_have_the_same_labels() -> None:
    rows = censored()
    event = rows["event"]
    assert torch.equal(TensorSource(rows).labels("event"), event)
    assert torch.equal(DatasetSource(Rows(rows)).labels("event"), event)
    some = [5, 100, 7]
    twice = Subset(Subset(Rows(rows), some), [2, 0])
    assert torch.equal(DatasetSource(twice).labels("event"), event[[7, 5]])


def test_unknown_entries_are_named() -> None:
    rows = censored()
    with pytest.raises(ParameterError, match=r"'balance' of Training.*mean 'event'"):
        TensorSource(rows).labels("evnt")
    with pytest.raises(ParameterError, match="one value for each row"):
        DatasetSource(Rows(rows)).labels("x")
    with pytest.raises(ParameterError, match="in memory"):
        DatasetSource([{"event": True}]).labels("event")
    with pytest.raises(ParameterError, match="'balance' of mine"):
        Training(balance=True).check("mine")


class Counting(CoxObjective):
    """A Cox loss that notes the events of each batch."""

    def step(self, batch):
        if self.training:
            self.seen.append(int(batch["event"].sum()))
        return super().step(batch)


def fitted(rows, **settings) -> Counting:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = SemiStructuredNetwork({"x": nn.Linear(3, 2)}, {"x": 2}, 1)
    objective = Counting(network)
    objective.seen = []
    training = Training(batch_size=32, learning_rate=0.01, **settings)
    train(objective, TensorSource(rows), training=training, seed=3)
    return objective


def test_training_deals_events_to_all_batches() -> None:
    rows = censored()
    balanced = fitted(rows, max_epochs=4, balance="event").seen
    plain = fitted(rows, max_epochs=4).seen
    assert len(balanced) == len(plain) == 28
    assert set(balanced) == {2, 3}  # 20 events over 7 batches
    assert min(plain) == 0 or max(plain) > 4
    assert sum(balanced) == sum(plain) == 80


def test_going_on_gives_the_same_weights(tmp_path) -> None:
    rows = censored()
    whole = fitted(rows, max_epochs=4, balance="event").state_dict()
    again = fitted(rows, max_epochs=4, balance="event").state_dict()
    settings = {"balance": "event", "checkpoint": Checkpoint(tmp_path, every_steps=3)}

    class Stopped(Exception):
        pass

    from semistruct.engine import Callback

    class Stop(Callback):
        def on_step_end(self, state) -> None:
            if state.step == 11:  # within the second epoch
                raise Stopped

    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = SemiStructuredNetwork({"x": nn.Linear(3, 2)}, {"x": 2}, 1)
    objective = Counting(network)
    objective.seen = []
    training = Training(batch_size=32, learning_rate=0.01, max_epochs=4, **settings)
    with pytest.raises(Stopped):
        train(
            objective, TensorSource(rows), training=training, seed=3, callbacks=[Stop()]
        )
    resumed = fitted(rows, max_epochs=4, **settings)
    assert len(resumed.seen) == 28 - 9
    for key, value in whole.items():
        assert torch.equal(value, again[key])
        assert torch.equal(value, resumed.state_dict()[key])
