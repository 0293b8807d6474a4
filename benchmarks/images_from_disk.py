"""Images from disk against a plain torchvision DataLoader: 5,000 JPEGs of 96×96.

Both open each file with Pillow, make a normalised float tensor of it and put 64 of them
into a batch, in a new random order each epoch: `ImageRows` behind a `DatasetSource`, as
the estimators read, which also checks each image against what was fitted and reads its
orientation; and a dataset with transforms.v2 (to tensor, to float, normalise) behind a
DataLoader. By turns in one process; the ratio is the median over pairs of epochs. With
no workers CPU seconds are counted, with workers those of the clock. Goal: rows per
second at least 1.0 × the plain loader's.

    python benchmarks/images_from_disk.py
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from semistruct._core.torchvision import import_torchvision
from semistruct.data import ImageColumn, ImageRows
from semistruct.engine import DatasetSource

ROWS, SIDE, BATCH, REPEATS = 5000, 96, 64, 5
WORKERS = (0, 2)
GOAL, MISSED = 1.0, 2


def write(folder: Path) -> list[str]:
    """Write smooth colour noise, which compresses about as photographs do."""
    rng = np.random.default_rng(0)
    paths = []
    for i in range(ROWS):
        coarse = rng.integers(0, 256, size=(24, 24, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        paths.append(str(folder / f"{i:04d}.jpg"))
        image.save(paths[-1], quality=90)
    return paths


class Ours(Dataset):
    """Rows as the estimators hand them to a source."""

    def __init__(self, rows: ImageRows) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> dict[str, torch.Tensor]:
        pixels, present = self.rows[i]
        return {"scan": pixels, "scan:mask": present}


class Plain(Dataset):
    """What one writes by hand."""

    def __init__(self, paths: list[str], mean: np.ndarray, std: np.ndarray) -> None:
        v2 = import_torchvision("images_from_disk").transforms.v2
        self.paths = paths
        self.transform = v2.Compose(
            [
                v2.PILToTensor(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(mean.tolist(), std.tolist()),
            ]
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, i: int) -> torch.Tensor:
        with Image.open(self.paths[i]) as image:
            return self.transform(image.convert("RGB"))


def seconds(epoch, clock) -> float:
    start = clock()
    rows = sum(epoch())
    assert rows == ROWS
    return clock() - start


def compare(column: ImageColumn, series: pd.Series, workers: int) -> dict[str, list]:
    source = DatasetSource(Ours(ImageRows(column, series)), workers)
    loader = DataLoader(
        Plain(series.tolist(), column.mean, column.std),
        batch_size=BATCH,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )

    def ours():
        order = torch.randperm(ROWS)
        return (len(batch["scan"]) for batch in source.batches(BATCH, order))

    def plain():
        return (len(batch) for batch in loader)

    clock = time.perf_counter if workers else time.process_time
    runs = {"semistruct": ours, "torchvision": plain}
    for epoch in runs.values():
        seconds(epoch, clock)  # warm up; workers start
    found: dict[str, list] = {name: [] for name in runs}
    for repeat in range(REPEATS):
        names = list(runs)
        for name in names if repeat % 2 == 0 else reversed(names):
            found[name].append(seconds(runs[name], clock))
    return found


def main() -> int:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    missed = False
    with tempfile.TemporaryDirectory() as folder:
        series = pd.Series(write(Path(folder)), name="scan")
        column = ImageColumn.fit(series, owner="image(scan)")
        same = ImageRows(column, series)[0][0]
        plain = Plain(series.tolist(), column.mean, column.std)[0]
        torch.testing.assert_close(same, plain, rtol=1e-5, atol=1e-5)
        print("| workers | semistruct, rows/s | torchvision, rows/s | ratio | goal |")
        print("|---|---|---|---|---|")
        for workers in WORKERS:
            found = compare(column, series, workers)
            rate = {k: ROWS / statistics.median(v) for k, v in found.items()}
            pairs = zip(found["torchvision"], found["semistruct"], strict=True)
            ratio = statistics.median(a / b for a, b in pairs)
            missed |= ratio < GOAL
            print(
                f"| {workers} | {rate['semistruct']:.0f} | {rate['torchvision']:.0f} | "
                f"{ratio:.2f} | ≥ {GOAL} |"
            )
    return MISSED if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
