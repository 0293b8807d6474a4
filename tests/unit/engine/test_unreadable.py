"""Rows that cannot be read, and threads."""

from __future__ import annotations

import os

import pytest
import torch
from torch.utils.data import Dataset, Subset

from semistruct.engine import DatasetSource, MaskUnreadable, Training, predict, train
from semistruct.engine._scope import bounded_threads, physical_cores, usable_cpus
from semistruct.exceptions import DataError, ImageError

pytestmark = [  # of torch and of Python >= 3.12, on small machines
    pytest.mark.filterwarnings("ignore:This DataLoader will create"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork"),
]


class Scans(Dataset):
    """(tensor, present) of rows, of which some are damaged files."""

    def __init__(self, x, bad) -> None:
        self.x, self.bad = x, bad

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i: int):
        if i in self.bad:
            raise ImageError(f"image(scan), row {i}: the file is truncated.")
        return self.x[i], True


class Rows(Dataset):
    """Rows with a modality that is read, as an estimator puts them together."""

    def __init__(self, rows, scans) -> None:
        self.rows, self.scans = rows, scans

    def __len__(self) -> int:
        return len(self.scans)

    def __getitem__(self, i: int) -> dict:
        x, present, *report = self.scans[i]
        out = {"y": self.rows["y"][i], "x": x, "x:mask": torch.as_tensor(present)}
        return out | ({"x:unreadable": report[0]} if report else {})


@pytest.mark.parametrize("num_workers", [0, 2])
def test_masked_rows_are_as_missing_ones_and_told_once(
    rows, new_objective, num_workers
) -> None:
    scans = MaskUnreadable(Scans(rows["x"], {3, 77}), (3,))
    source = DatasetSource(Subset(Rows(rows, scans), range(150)), num_workers)
    one, two = new_objective(), new_objective()
    settings = Training(2, 32)
    with pytest.warns(UserWarning, match="could not be read") as caught:
        train(one, source, training=settings)
    (warning,) = caught
    text = str(warning.message)
    assert text.startswith("train: 2 rows could not be read")
    assert "row 3: the file is truncated." in text
    assert "row 77: the file is truncated." in text
    assert warning.filename == __file__
    present = torch.ones(200, dtype=torch.bool)
    present[[3, 77]] = False

    class Missing(Dataset):
        def __len__(self) -> int:
            return 150

        def __getitem__(self, i: int) -> dict:
            return {"y": rows["y"][i], "x": rows["x"][i], "x:mask": present[i]}

    train(two, DatasetSource(Missing()), training=settings)
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(a, b)


def test_an_error_names_the_row(rows, objective) -> None:
    source = DatasetSource(Rows(rows, Scans(rows["x"], {77})))
    with pytest.raises(ImageError, match="row 77"):
        train(objective, source, training=Training(2, 32))


def test_prediction_tells_too_and_long_lists_are_cut(rows, objective) -> None:
    scans = MaskUnreadable(Scans(rows["x"], set(range(10, 18))), (3,))
    source = DatasetSource(Rows(rows, scans))
    with pytest.warns(UserWarning, match=r"predict: 8 rows .*row 14.* 3 more"):
        output = predict(objective.network, source)
    assert (output.contributions["x"][10:18] == 0).all()


def test_only_named_errors_are_masked() -> None:
    class Broken(Dataset):
        def __getitem__(self, i):
            raise DataError("bad") if i else KeyError("a mistake of ours")

    rows = MaskUnreadable(Broken(), (2,))
    assert rows[1][2] == "bad"
    with pytest.raises(KeyError):
        rows[0]


# ---------------------------------------------------------------- threads


def test_hardware_threads_of_a_core_count_once(tmp_path) -> None:
    for cpu, siblings in enumerate(["0-1", "0-1", "2-3", "2-3"]):
        folder = tmp_path / f"cpu{cpu}" / "topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(siblings + "\n")
    assert physical_cores(frozenset({0, 1, 2, 3}), str(tmp_path)) == 2
    assert physical_cores(frozenset({1, 2}), str(tmp_path)) == 2
    assert physical_cores(frozenset({0, 1}), str(tmp_path)) == 1
    assert physical_cores(frozenset({7, 8}), str(tmp_path / "nowhere")) == 2


def test_threads_are_bounded_within_and_come_back(monkeypatch) -> None:
    before = torch.get_num_threads()
    cores = physical_cores(usable_cpus())
    try:
        torch.set_num_threads(cores + 2)
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        with bounded_threads():
            assert torch.get_num_threads() == cores + 2  # the user's own word
        monkeypatch.delenv("OMP_NUM_THREADS")
        with bounded_threads():
            assert torch.get_num_threads() == cores
        with bounded_threads(processes=10 * cores):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == cores + 2
    finally:
        torch.set_num_threads(before)
    assert len(usable_cpus()) <= (os.cpu_count() or 1)
