from __future__ import annotations

import gc
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import Dataset

from semistruct.engine import DatasetSource, TensorSource, Training, predict, train
from semistruct.exceptions import DataError
from semistruct.networks import NetworkOutput, SemiStructuredNetwork

pytestmark = [  # of torch and of Python >= 3.12, on small machines
    pytest.mark.filterwarnings("ignore:This DataLoader will create"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork"),
]
SETTINGS = Training(max_epochs=3, batch_size=24, learning_rate=0.02)


class Rows(Dataset):
    """The rows of tensors, one at a time, as if they came from disk."""

    def __init__(self, tensors, fail_at: int | None = None) -> None:
        self.tensors, self.fail_at = tensors, fail_at

    def __len__(self) -> int:
        return len(self.tensors["x"])

    def __getitem__(self, i: int) -> dict:
        if i == self.fail_at:
            raise DataError(f"row {i} cannot be read")
        return {key: value[i] for key, value in self.tensors.items()}


@pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 64, 65, 700])
@pytest.mark.parametrize("batch_size", [1, 8, 64])
def test_both_sources_give_the_same_batches(n, batch_size) -> None:
    tensors = {"x": torch.randn(n, 2), "i": torch.arange(n), "m": torch.arange(n) > 3}
    order = torch.randperm(n)
    one, two = TensorSource(tensors), DatasetSource(Rows(tensors))
    assert len(one) == len(two) == n
    for rows in (None, order):
        batches = list(one.batches(batch_size, rows))
        others = list(two.batches(batch_size, rows))
        assert len(batches) == len(others) == math.ceil(n / batch_size)
        sizes = {len(batch["i"]) for batch in batches}
        assert max(sizes) <= batch_size
        assert max(sizes) - min(sizes) <= 1  # no tiny batch at the end
        for a, b in zip(batches, others, strict=True):
            assert list(a) == ["x", "i", "m"]
            for key in a:
                assert torch.equal(a[key], b[key])
        seen = torch.cat([batch["i"] for batch in batches])
        assert torch.equal(seen, torch.arange(n) if rows is None else rows)


def test_lengths_must_agree() -> None:
    with pytest.raises(DataError, match=r"same number of rows.*'y': 3"):
        TensorSource({"x": torch.zeros(2), "y": torch.zeros(3)})
    with pytest.raises(DataError, match="same number of rows"):
        TensorSource({})


@pytest.mark.parametrize("num_workers", [0, 2])
def test_training_from_a_dataset_is_training_from_tensors(
    rows, new_objective, num_workers
) -> None:
    held = {key: value[:60] for key, value in rows.items()}
    histories, outputs = [], []
    for make in (TensorSource, lambda t: DatasetSource(Rows(t), num_workers)):
        objective = new_objective(dropout=0.2)
        torch.manual_seed(5)
        state = torch.get_rng_state()
        result = train(objective, make(rows), make(held), training=SETTINGS, seed=3)
        histories.append(result.history)
        outputs.append(predict(objective.network, make(rows), 50))
        assert torch.equal(torch.get_rng_state(), state)
    assert histories[0] == histories[1]  # bit for bit
    assert torch.equal(outputs[0].linear_predictor, outputs[1].linear_predictor)
    assert torch.equal(outputs[0].latents["x"], outputs[1].latents["x"])


def test_workers_stay_over_epochs_have_one_thread_and_end() -> None:
    class Who(Dataset):
        def __len__(self) -> int:
            return 8

        def __getitem__(self, i: int) -> dict:
            info = torch.utils.data.get_worker_info()
            return {
                "pid": info.id if info else -1,
                "seed": info.seed,
                "threads": torch.get_num_threads(),
            }

    source = DatasetSource(Who(), num_workers=2, seed=4)
    first = list(source.batches(2))
    assert {int(p) for batch in first for p in batch["pid"]} == {0, 1}
    assert {int(t) for batch in first for t in batch["threads"]} == {1}
    iterator = source._loader._iterator
    processes = list(iterator._workers)
    next(source.batches(4))  # abandoned halfway, as when training is stopped
    second = list(source.batches(2))
    assert source._loader._iterator is iterator
    assert [len(batch["pid"]) for batch in second] == [2, 2, 2, 2]
    again = list(DatasetSource(Who(), num_workers=2, seed=4).batches(2))
    for a, b in zip(first, again, strict=True):
        assert torch.equal(a["seed"], b["seed"])
    del source, iterator
    gc.collect()
    assert not any(process.is_alive() for process in processes)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_an_error_of_a_row_comes_through(rows, objective, num_workers) -> None:
    source = DatasetSource(Rows(rows, fail_at=17), num_workers)
    with pytest.raises(DataError, match="row 17 cannot be read"):
        train(objective, source, training=SETTINGS)


def test_predict_gives_all_rows_in_order(rows, objective) -> None:
    for parameter in objective.network.heads.parameters():
        nn.init.normal_(parameter)
    network = objective.network.train()
    outputs = [predict(network, TensorSource(rows), size) for size in (1, 7, 200, 999)]
    for output in outputs:
        assert isinstance(output, NetworkOutput)
        assert output.linear_predictor.shape == (200, 1)
        assert output.contributions["x"].shape == (200, 1)
        assert not output.linear_predictor.requires_grad
        torch.testing.assert_close(
            output.linear_predictor, outputs[0].linear_predictor, atol=1e-5, rtol=1e-5
        )
    assert network.training
    assert all(module.training for module in network.modules())


def test_predict_is_in_evaluation_mode(rows, new_objective) -> None:
    network = new_objective(dropout=0.5).network
    one, two = (predict(network, TensorSource(rows)) for _ in range(2))
    assert torch.equal(one.latents["x"], two.latents["x"])


def test_predict_of_a_plain_module_and_of_nothing() -> None:
    class Double(nn.Module):
        def forward(self, batch):
            return 2 * batch["x"]

    source = TensorSource({"x": torch.arange(5)})
    assert predict(Double(), source, 2).tolist() == [0, 2, 4, 6, 8]
    with pytest.raises(DataError, match="no rows"):
        predict(Double(), TensorSource({"x": torch.zeros(0)}))


def test_rows_of_numbers_and_arrays_are_collated() -> None:
    items = [{"a": i, "b": 0.5 * i, "c": np.ones(2), "d": i > 1} for i in range(3)]
    (batch,) = DatasetSource(items).batches(8)
    assert batch["a"].dtype == torch.int64
    assert batch["d"].tolist() == [False, False, True]
    assert batch["c"].shape == (3, 2)


def test_a_network_of_missing_rows_trains(rows, new_objective) -> None:
    mask = torch.arange(200) % 4 > 0
    gaps = rows | {"x": rows["x"].clone(), "x:mask": mask}
    gaps["x"][~mask] = float("nan")
    objective = new_objective()
    train(objective, TensorSource(gaps), training=SETTINGS)
    output = predict(objective.network, TensorSource(gaps))
    assert isinstance(objective.network, SemiStructuredNetwork)
    assert (output.contributions["x"][~mask] == 0).all()
    assert output.linear_predictor.isfinite().all()
