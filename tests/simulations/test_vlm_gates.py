"""What the vision-language systems reach on data that ship.

The slow tests check the numbers; this writes them into docs/vlm.md, for some systems or
for all:

    python tests/simulations/test_vlm_gates.py [gate ...]
"""

from __future__ import annotations

import json
import re
import sys
import time
import warnings
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_digits

import semistruct as ss
from semistruct.data._shapes import SHAPE_COLOURS, SHAPE_NAMES
from semistruct.engine import Training
from semistruct.exceptions import InferenceWarning
from semistruct.vlm import (
    SYSTEMS,
    ConvTower,
    DualEncoder,
    Facts,
    MAEConfig,
    SelfSupervised,
    SwAVConfig,
    linear_probe,
)

pytestmark = pytest.mark.slow
DOC = Path(__file__).parents[2] / "docs" / "vlm.md"
TRAIN = 1297  # digits that are learned from; the other 500 are for the test
CLASSES = [f"{colour} {shape}" for colour in SHAPE_COLOURS for shape in SHAPE_NAMES]
PROMPTS = [
    f"{count} {size} {{}}{plural} {place}"
    for count, plural in (("one", ""), ("two", "s"), ("three", "s"))
    for size in ("small", "large")
    for place in ("at the top", "in the middle", "at the bottom")
]
UNSEEN = [("red", "square"), ("green", "ring"), ("blue", "circle"), ("cyan", "diamond")]


def training(epochs: int, rate: float = 2e-3, batch: int = 128) -> Training:
    return Training(
        max_epochs=epochs,
        batch_size=batch,
        learning_rate=rate,
        schedule="one_cycle",
        validation_fraction=0.0,
    )


@cache
def digits() -> tuple[pd.DataFrame, np.ndarray]:
    found = load_digits()
    order = np.random.default_rng(0).permutation(len(found.target))
    block = np.rint(found.images[order] * (255 / 16)).astype(np.uint8)
    return pd.DataFrame({"image": ss.TensorArray(block)}), found.target[order]


def probe(features: Any) -> float:
    """Accuracy with one label of each class, mean over 30 draws of the labels."""
    _, y = digits()
    rows, rest = slice(None, TRAIN), slice(TRAIN, None)
    found = linear_probe(
        *(features[rows], y[rows], features[rest], y[rest]), per_class=1, draws=30
    )
    return float(found.mean())


@cache
def baselines() -> dict[str, float]:
    """Probes of raw pixels and of an untrained tower."""
    X, _ = digits()
    pixels = X["image"].array.block.reshape(len(X), -1) / 255
    images = torch.tensor(X["image"].array.block / 255, dtype=torch.float32)[:, None]
    standard = (images - images.mean()) / images.std()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        tower = ConvTower().build(Facts(image=(1, 8, 8))).eval()
    with torch.no_grad():
        random = tower(standard).numpy()
    return {"raw pixels": probe(pixels), "random CNN": probe(random)}


def self_supervised(name: str) -> dict[str, float]:
    X, _ = digits()
    epochs, rate = EPOCHS.get(name, (30, 2e-3))
    model = SelfSupervised(name, training=training(epochs, rate), random_state=0)
    features = model.fit(X.iloc[:TRAIN]).transform(X)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    spread = float(unit[:TRAIN].std(axis=0).mean() * features.shape[1] ** 0.5)
    return {"probe": probe(features), "spread": spread, **baselines()}


EPOCHS = {"data2vec": (60, 1e-3)}


def mae(share: float = 0.5, epochs: int = 60) -> dict[str, float]:
    """Mean squared error of hidden test patches, pixels in [0, 1]."""
    X, _ = digits()
    model = SelfSupervised(
        "mae",
        config=MAEConfig(share=share),
        training=training(epochs),
        random_state=0,
    ).fit(X.iloc[:TRAIN])
    reader = model.columns_.readers["image"]
    images = reader.read(X["image"].iloc[TRAIN:])[0]
    pixels = X["image"].array.block / 255
    mean = float(((pixels[TRAIN:] - pixels[:TRAIN].mean(axis=0)) ** 2).mean())
    error = model.system_.evaluate([{"image": images}]) * float(reader.std[0]) ** 2
    return {"error": error, "mean pixel": mean}


def shapes(n: int, seed: int, **options: Any) -> tuple[pd.DataFrame, np.ndarray]:
    X, truth = ss.datasets.make_captioned_shapes(
        n, random_state=seed, return_truth=True, **options
    )
    return X, (truth["colour"] + " " + truth["shape"]).to_numpy()


def dual(name: str) -> dict[str, float]:
    X, _ = shapes(2000, 0)
    X_test, y_test = shapes(500, 1)
    settings = training(25, 1e-3, 64)
    model = DualEncoder(name, training=settings, random_state=0).fit(X)
    hit = model.predict(X_test, CLASSES, PROMPTS) == y_test
    recall = model.recall(X_test)["R@1"]
    return {
        "zero-shot": float(hit.mean()),
        "R@1 image to text": float(recall["image to text"]),
        "R@1 text to image": float(recall["text to image"]),
    }


def lit() -> dict[str, float]:
    """The image tower of CLIP, locked; a new text tower."""
    X, _ = shapes(2000, 0)
    X_test, y_test = shapes(500, 1)
    first = DualEncoder(training=training(20), random_state=0).fit(X)
    model = DualEncoder(
        "lit", visual=first.system_.visual, training=training(20), random_state=1
    ).fit(X)
    hit = model.predict(X_test, CLASSES, PROMPTS) == y_test
    return {"zero-shot": float(hit.mean()), "R@1": model.score(X_test)}


def labelled() -> dict[str, float]:
    """Zero-shot after 600 images, where many different captions are of one class."""
    X_test, y_test = shapes(500, 1)
    found: dict[str, float] = {}
    for name, label in (("clip", None), ("florence", "label")):
        hits = []
        for seed in range(3):
            X, y = shapes(600, 10 + seed)
            model = DualEncoder(
                name, label=label, training=training(15), random_state=seed
            ).fit(X.assign(label=y))
            hits.append((model.predict(X_test, CLASSES, PROMPTS) == y_test).mean())
        found[name] = float(np.mean(hits))
    return found


def unseen() -> dict[str, float]:
    """Zero-shot, 30-way, of pairs of colour and shape that no training row has."""
    seen = [(c, s) for c in SHAPE_COLOURS for s in SHAPE_NAMES if (c, s) not in UNSEEN]
    X, _ = shapes(2000, 0, pairs=seen)
    X_test, y_test = shapes(500, 1, pairs=UNSEEN)
    model = DualEncoder(training=training(20), random_state=0).fit(X)
    hit = model.predict(X_test, CLASSES, PROMPTS) == y_test
    return {"unseen pairs": float(hit.mean())}


def encoders() -> dict[str, Any]:
    """Harrell's C with 60 labelled rows: tower trained before, or not; both frozen."""
    pool, _ = ss.datasets.make_survival_digits(1797, random_state=0)
    config = SwAVConfig(image=ConvTower(dim=32))
    trained = SelfSupervised(
        "swav", column="scan", config=config, training=training(50), random_state=0
    ).fit(pool)
    facts = trained.columns_.facts
    heads = ss.Training(
        max_epochs=20, learning_rate=3e-3, weight_decay=0.1, validation_fraction=0.0
    )
    found: dict[str, list[float]] = {"trained": [], "untrained": []}
    for seed in range(5):
        X, y = ss.datasets.make_survival_digits(60, random_state=100 + seed)
        X_test, y_test = ss.datasets.make_survival_digits(600, random_state=200 + seed)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            fresh = SYSTEMS["swav"].build(config, facts).visual
        for kind, tower in (("trained", trained.encoder_), ("untrained", fresh)):
            model = ss.SemiStructuredSurvival(
                "age + C(stage) + s(bmi) + image(scan)",
                encoders={"scan": tower.requires_grad_(False)},
                training=heads,
                random_state=seed,
            )
            with warnings.catch_warnings():  # standard errors are not looked at
                warnings.simplefilter("ignore", InferenceWarning)
                model.fit(X, y)
            found[kind].append(round(model.score(X_test, y_test), 3))
    return found


GATES: dict[str, Callable[[], dict[str, Any]]] = {
    **{
        name: partial(self_supervised, name)
        for name in ("simclr", "byol", "swav", "dino", "data2vec")
    },
    "mae": mae,
    **{name: partial(dual, name) for name in ("clip", "align", "florence", "vse++")},
    "lit": lit,
    "labels": labelled,
    "unseen pairs": unseen,
    "as encoders": encoders,
}


@pytest.mark.parametrize("name", ["simclr", "byol", "swav"])
def test_self_supervised_with_one_label_of_each_class(name):
    found = self_supervised(name)
    print(f"\n{name}: {found}")
    assert found["probe"] >= 0.72
    assert found["spread"] > 0.4


@pytest.mark.parametrize("name", ["dino", "data2vec"])
def test_distillation_is_above_raw_pixels(name):
    found = self_supervised(name)
    print(f"\n{name}: {found}")
    assert found["probe"] > found["raw pixels"]
    assert found["spread"] > 0.4


def test_mae_draws_what_is_hidden():
    found = mae()
    print(f"\nmae: {found}")
    assert found["error"] <= 0.055
    assert found["mean pixel"] > 0.07


@pytest.mark.parametrize("name", ["clip", "align", "florence", "vse++"])
def test_pairs(name):
    found = dual(name)
    print(f"\n{name}: {found}")
    assert min(found.values()) >= 0.80


def test_a_locked_tower_is_read():
    found = lit()
    print(f"\nlit: {found}")
    assert found["zero-shot"] >= 0.70
    assert found["R@1"] >= 0.80


def test_labels_help_where_many_captions_are_of_one_class():
    found = labelled()
    print(f"\nlabels: {found}")
    assert found["florence"] > found["clip"] + 0.1


def test_unseen_pairs_are_named_at_times():
    found = unseen()
    print(f"\nunseen pairs: {found}")
    assert found["unseen pairs"] >= 0.12


def test_a_tower_that_was_trained_is_a_better_encoder():
    found = encoders()
    print(f"\nas encoders: {found}")
    pairs = zip(found["trained"], found["untrained"], strict=True)
    assert all(trained > untrained for trained, untrained in pairs)


def write(names: list[str]) -> None:
    """Measure gates and put them into the table of the document."""
    fresh: dict[str, str] = {}
    for name in names or list(GATES):
        start = time.perf_counter()
        found = GATES[name]()
        words = ", ".join(
            f"{key} {value if isinstance(value, list) else f'{value:.3f}'}"
            for key, value in found.items()
        )
        fresh[name] = f"{words} | {time.perf_counter() - start:.0f} |"
        print(json.dumps({name: fresh[name]}), flush=True)
    text = DOC.read_text(encoding="utf-8")
    pattern = re.compile(r"(<!-- gates -->\n).*?(<!-- /gates -->)", re.DOTALL)
    rows_of = re.findall(r"^\| ([^|]+?) \| (.*\|)$", text, re.MULTILINE)
    kept = dict(rows_of) | fresh
    head = "| gate | measured | seconds |\n|---|---|---|\n"
    rows = "".join(f"| {name} | {kept[name]}\n" for name in GATES if name in kept)
    whole = pattern.sub(lambda m: m[1] + head + rows + m[2], text)
    DOC.write_text(whole, encoding="utf-8")


if __name__ == "__main__":
    write(sys.argv[1:])
