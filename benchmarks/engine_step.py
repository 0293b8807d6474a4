"""One step of the engine against a plain torch loop: a 20→32→1 MLP, batches of 256.

The two run by turns in one process, on the same rows, with the same optimiser (AdamW,
fused, and torch's default one for reference in the plain loop); the ratio is the median
over paired repeats. Goal: at most 1.1. What options cost is given against the engine
without them, for each step of 256 rows: accumulation (four passes of 64 rows), an
average of weights, a schedule, bf16 (which CPUs without its instructions emulate); and
the milliseconds of one checkpoint.

    python benchmarks/engine_step.py
"""

from __future__ import annotations

import statistics
import tempfile
import time
from functools import partial

import torch
from torch import nn

from semistruct.engine import Checkpoint, TensorSource, Training, train
from semistruct.objectives import Objective, StepOutput

ROWS, BATCH, EPOCHS, REPEATS = 256 * 40, 256, 10, 25
GOAL = 1.1


class MeanSquare(Objective):
    def step(self, batch):
        loss = nn.functional.mse_loss(self.network(batch["x"]), batch["y"])
        return StepOutput(loss, {"square": loss.detach()}, len(batch["y"]))


def make_network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 1))


def plain(x, y, fused):
    network = make_network()
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=1e-3, weight_decay=1e-4, fused=fused
    )
    start = time.perf_counter()
    for _ in range(EPOCHS):
        order = torch.randperm(ROWS)
        for i in range(0, ROWS, BATCH):
            index = order[i : i + BATCH]
            loss = nn.functional.mse_loss(
                network(x.index_select(0, index)), y.index_select(0, index)
            )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
    return (time.perf_counter() - start) / (EPOCHS * ROWS // BATCH)


def engine(x, y, **options):
    objective = MeanSquare(make_network())
    source = TensorSource({"x": x, "y": y})
    settings = {"max_epochs": EPOCHS, "batch_size": BATCH, "clip_norm": None}
    training = Training(**(settings | {"device": "cpu"} | options))
    start = time.perf_counter()
    train(objective, source, training=training)
    return (time.perf_counter() - start) / (EPOCHS * ROWS // BATCH)


OPTIONS = {
    "accumulate 4 × 64": {"batch_size": BATCH // 4, "accumulate": 4},
    "ema": {"ema": 0.999},
    "cosine": {"schedule": "cosine"},
    "bf16": {"precision": "bf16"},
}


def checkpointed(x, y):
    with tempfile.TemporaryDirectory() as folder:
        return engine(x, y, checkpoint=Checkpoint(folder))


def main():
    torch.set_num_threads(1)
    torch.manual_seed(1)
    x = torch.randn(ROWS, 20)
    y = x[:, :1] + 0.1 * torch.randn(ROWS, 1)
    runs = {
        "engine": lambda: engine(x, y),
        "plain, fused AdamW": lambda: plain(x, y, True),
        "plain, default AdamW": lambda: plain(x, y, None),
    }
    peers = list(runs)[1:]
    for name, options in OPTIONS.items():
        runs[name] = partial(engine, x, y, **options)
    runs["checkpoint / epoch"] = partial(checkpointed, x, y)
    for run in runs.values():
        run()  # warm up
    times = {name: [] for name in runs}
    names = list(runs)
    for repeat in range(REPEATS):
        for name in names if repeat % 2 == 0 else reversed(names):
            times[name].append(runs[name]())
    for name, values in times.items():
        print(f"{name:22s} {1e6 * statistics.median(values):7.1f} µs per step")
    for name in peers:
        pairs = zip(times["engine"], times[name], strict=True)
        ratio = statistics.median(a / b for a, b in pairs)
        goal = f"  (goal <= {GOAL})" if "fused" in name else ""
        print(f"engine / {name}: {ratio:.3f}{goal}")
    for name in OPTIONS:
        pairs = zip(times[name], times["engine"], strict=True)
        print(f"{name} / engine: {statistics.median(a / b for a, b in pairs):.3f}")
    pairs = zip(times["checkpoint / epoch"], times["engine"], strict=True)
    each = statistics.median(a - b for a, b in pairs) * ROWS / BATCH
    print(f"one checkpoint: {1e3 * each:.1f} ms")


if __name__ == "__main__":
    main()
