"""Wide + MLP on 50,000 × 20 against pytorch-widedeep and a plain torch loop.

Ten columns of numbers and ten of categories (ten levels), batches of 512, one thread,
no validation rows, no clipping. The deep part is of one size in all: an embedding of 5
for each column of categories, 60 → 64 → 32 → 1, dropout 0.1. The peers train the wide
part, a weight for each level, with the network; `WideDeepRegressor` fits it exactly
before and after, so both its seconds per epoch and those of the whole fit are given.
The plain loop holds its rows in memory and gathers each batch by `index_select`.

Each runs in an interpreter of its own, by turns: CPU seconds per epoch without the
first epoch, and by how much the peak of memory lies above what imports and data take.
The interpreter of `WIDEDEEP_PYTHON` runs pytorch-widedeep, which needs versions of its
own, with ``num_workers=0``.

    WIDEDEEP_PYTHON=/path/to/python python benchmarks/wide_deep.py

Goals: seconds per epoch at most 1.1 × the plain loop; pytorch-widedeep at least 2.5 ×
slower and at least twice the memory.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
import warnings

import numpy as np
import pandas as pd

ROWS, NUMBERS, CATEGORIES, LEVELS = 50_000, 10, 10, 10
BATCH, EPOCHS, REPEATS, DIM = 512, 10, 3, 5
RATE, DECAY = 1e-3, 1e-4
SLOWER, FASTER, LIGHTER, MISSED = 1.1, 2.5, 2.0, 2
NUMERIC = [f"x{j}" for j in range(NUMBERS)]
CATEGORICAL = [f"c{j}" for j in range(CATEGORIES)]


def data() -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, NUMBERS))
    codes = rng.integers(0, LEVELS, size=(ROWS, CATEGORIES))
    effects = rng.normal(scale=0.3, size=(CATEGORIES, LEVELS))
    y = effects[np.arange(CATEGORIES), codes].sum(axis=1)
    y += x[:, 0] * x[:, 1] + np.sin(2 * x[:, 2]) + rng.normal(size=ROWS)
    X = pd.DataFrame(x, columns=NUMERIC)
    names = np.array(list("abcdefghij"))
    return X.assign(**{c: names[codes[:, j]] for j, c in enumerate(CATEGORICAL)}), y


def peak() -> float:
    """Peak of the memory of this process, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def timed(run, *arguments) -> float:
    """Seconds of CPU time; in one thread those of the clock where nothing else runs."""
    start = time.process_time()
    run(*arguments)
    return time.process_time() - start


def ours() -> dict[str, float]:
    import semistruct as ss
    from semistruct.encoders import MLP

    X, y = data()
    columns = ", ".join(NUMERIC + CATEGORICAL)
    wide = " + ".join(NUMERIC + [f"C({c})" for c in CATEGORICAL])

    def fit(epochs: int) -> None:
        training = ss.Training(
            max_epochs=epochs,
            batch_size=BATCH,
            learning_rate=RATE,
            weight_decay=DECAY,
            validation_fraction=0.0,
            clip_norm=None,
            device="cpu",
        )
        ss.WideDeepRegressor(
            wide,
            deep=f"tabular({columns})",
            encoders={"_".join(NUMERIC + CATEGORICAL): MLP((64,), output_dim=32)},
            training=training,
            random_state=0,
        ).fit(X, y)

    base = peak()
    fit(1)  # warm up
    first, whole = timed(fit, 1), timed(fit, 1 + EPOCHS)
    return {
        "epoch": (whole - first) / EPOCHS,
        "fit": whole,
        "memory": peak() - base,
        "peak": peak(),
    }


def plain() -> dict[str, float]:
    import torch
    from torch import nn

    class WideDeep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wide = nn.EmbeddingBag(CATEGORIES * LEVELS, 1, mode="sum")
            self.slope = nn.Linear(NUMBERS, 1)
            self.tables = nn.ModuleList(
                nn.Embedding(LEVELS, DIM) for _ in range(CATEGORIES)
            )
            self.deep = nn.Sequential(
                nn.Linear(NUMBERS + CATEGORIES * DIM, 64),
                nn.LayerNorm(64),
                nn.GELU(),
                nn.Dropout(0.1),
                nn.Linear(64, 32),
                nn.Linear(32, 1),
            )

        def forward(self, x, codes):
            found = [e(codes[:, j]) for j, e in enumerate(self.tables)]
            shifted = codes + torch.arange(CATEGORIES) * LEVELS
            wide = self.wide(shifted) + self.slope(x)
            return (wide + self.deep(torch.cat([x, *found], dim=1)))[:, 0]

    X, y = data()
    base = peak()
    start = time.process_time()
    x = torch.as_tensor(X[NUMERIC].to_numpy(), dtype=torch.float32)
    codes = np.column_stack([pd.factorize(X[c])[0] for c in CATEGORICAL])
    codes, target = torch.as_tensor(codes), torch.as_tensor(y, dtype=torch.float32)
    torch.manual_seed(0)
    model = WideDeep()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=RATE, weight_decay=DECAY, fused=True
    )

    def epoch() -> None:
        for rows in torch.randperm(ROWS).split(BATCH):
            found = model(x.index_select(0, rows), codes.index_select(0, rows))
            loss = nn.functional.mse_loss(found, target.index_select(0, rows))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()

    epoch()
    seconds = [timed(epoch) for _ in range(EPOCHS)]
    return {
        "epoch": statistics.mean(seconds),
        "fit": time.process_time() - start,
        "memory": peak() - base,
        "peak": peak(),
    }


def widedeep() -> dict[str, float]:
    import torch

    torch.set_num_threads(1)
    # a torchvision whose own operators do not load beside a torch without CUDA
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, name):
            library.define(f"{name}(Tensor a, Tensor b, float c) -> Tensor")
    from pytorch_widedeep import Trainer
    from pytorch_widedeep.models import TabMlp, Wide, WideDeep
    from pytorch_widedeep.preprocessing import TabPreprocessor, WidePreprocessor

    X, y = data()
    base = peak()
    start = time.process_time()
    wide_columns = WidePreprocessor(wide_cols=CATEGORICAL)
    X_wide = wide_columns.fit_transform(X)
    columns = TabPreprocessor(
        cat_embed_cols=[(c, DIM) for c in CATEGORICAL], continuous_cols=NUMERIC
    )
    X_tab = columns.fit_transform(X)
    deep = TabMlp(
        column_idx=columns.column_idx,
        cat_embed_input=columns.cat_embed_input,
        continuous_cols=NUMERIC,
        mlp_hidden_dims=[64, 32],
        mlp_dropout=0.1,
    )
    wide = Wide(input_dim=np.unique(X_wide).shape[0], pred_dim=1)
    model = WideDeep(wide=wide, deeptabular=deep)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY)
    trainer = Trainer(
        model,
        objective="regression",
        optimizers=optimizer,
        num_workers=0,
        verbose=0,
        device="cpu",
    )

    def fit(epochs: int) -> None:
        trainer.fit(
            X_wide=X_wide, X_tab=X_tab, target=y, n_epochs=epochs, batch_size=BATCH
        )

    fit(1)
    seconds = timed(fit, EPOCHS) / EPOCHS
    return {
        "epoch": seconds,
        "fit": time.process_time() - start,
        "memory": peak() - base,
        "peak": peak(),
    }


WHO = {"ours": ours, "plain": plain, "widedeep": widedeep}
NAMES = {
    "ours": "`WideDeepRegressor`",
    "plain": "plain torch loop",
    "widedeep": "pytorch-widedeep",
}


def measure(python: str, who: str) -> dict[str, float]:
    """Run one of them in an interpreter of its own."""
    done = subprocess.run(
        [python, __file__, who],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    if done.returncode:
        sys.exit(f"{who}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> int:
    peer = os.environ.get("WIDEDEEP_PYTHON")
    pythons = {"ours": sys.executable, "plain": sys.executable}
    if peer:
        pythons["widedeep"] = peer
    found = {who: [] for who in pythons}
    for repeat in range(REPEATS):
        order = list(pythons.items())
        for who, python in order if repeat % 2 == 0 else reversed(order):
            found[who].append(measure(python, who))
    print(f"Medians of {REPEATS} interpreters each; {EPOCHS} epochs after the first.\n")
    print("| | s per epoch | s of the whole fit | peak above data, MB | peak, MB |")
    print("|---|---|---|---|---|")
    middle = {}
    for who, runs in found.items():
        middle[who] = {k: statistics.median(r[k] for r in runs) for k in runs[0]}
        m = middle[who]
        print(
            f"| {NAMES[who]} | {m['epoch']:.3f} | {m['fit']:.2f} | "
            f"{m['memory']:.0f} | {m['peak']:.0f} |"
        )

    def ratio(who: str, key: str) -> float:
        pairs = zip(found[who], found["ours"], strict=True)
        return statistics.median(a[key] / b[key] for a, b in pairs)

    print()
    slower = 1 / ratio("plain", "epoch")
    print(f"- epoch, ours / plain loop: {slower:.2f} (goal ≤ {SLOWER})")
    missed = slower > SLOWER
    if not peer:
        print("- pytorch-widedeep: not measured, WIDEDEEP_PYTHON is not set")
        return MISSED if missed else 0
    faster, lighter = ratio("widedeep", "epoch"), ratio("widedeep", "peak")
    print(f"- epoch, pytorch-widedeep / ours: {faster:.2f} (goal ≥ {FASTER})")
    print(f"- peak memory, pytorch-widedeep / ours: {lighter:.2f} (goal ≥ {LIGHTER})")
    above = ratio("widedeep", "memory")
    print(f"- the same above imports and data: {above:.2f}")
    return MISSED if missed or faster < FASTER or lighter < LIGHTER else 0


if __name__ == "__main__":
    if len(sys.argv) > 1:
        warnings.simplefilter("ignore")
        print(json.dumps(WHO[sys.argv[1]]()))
    else:
        raise SystemExit(main())
