"""Captioned shapes: what the caption says is in the image."""

from __future__ import annotations

import numpy as np
import pytest

from semistruct.data._shapes import SHAPE_COLOURS, SHAPE_NAMES
from semistruct.data.datasets import make_captioned_shapes
from semistruct.exceptions import ParameterError


@pytest.fixture(scope="module")
def drawn():
    return make_captioned_shapes(400, random_state=0, return_truth=True)


def test_form(drawn):
    X, truth = drawn
    assert X["image"].array.block.shape == (400, 32, 32, 3)
    assert X["image"].array.block.dtype == np.uint8
    assert len(truth) == 400
    assert truth["matched"].all()
    assert set(zip(truth["colour"], truth["shape"], strict=True)) <= {
        (c, s) for c in SHAPE_COLOURS for s in SHAPE_NAMES
    }


def test_captions_are_the_truth_in_words(drawn):
    X, truth = drawn
    number = {1: "one", 2: "two", 3: "three"}
    for text, row in zip(X["caption"], truth.itertuples(), strict=True):
        plural = "s" if row.count > 1 else ""
        word = "in" if row.place == "middle" else "at"
        what = f"{number[row.count]} {row.size} {row.colour} {row.shape}{plural}"
        assert text == f"{what} {word} the {row.place}"


def test_images_hold_what_the_truth_says(drawn):
    """Colour, place, count and size, read off the pixels."""
    X, truth = drawn
    block = X["image"].array.block.astype(float) / 255
    bright = block.max(axis=3) > 0.5  # (n, S, S)
    colours = dict(
        zip(
            SHAPE_COLOURS,
            ([1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1]),
            strict=True,
        )
    )
    area = {}
    for i, row in enumerate(truth.itertuples()):
        mean = block[i][bright[i]].mean(axis=0)
        assert ((mean > 0.5) == np.array(colours[row.colour], dtype=bool)).all()
        height = np.flatnonzero(bright[i].any(axis=1)).mean() / 32
        assert ["top", "middle", "bottom"][int(3 * height)] == row.place
        thirds = np.array_split(bright[i], 3, axis=1)
        assert sum(third.sum() > 8 for third in thirds) == row.count
        area.setdefault((row.shape, row.size), []).append(bright[i].sum() / row.count)
    for shape in SHAPE_NAMES:
        assert np.min(area[shape, "large"]) > np.max(area[shape, "small"])


def test_shapes_differ():
    images = [
        make_captioned_shapes(60, pairs=[("red", shape)], random_state=3, size=64)[
            "image"
        ].array.block
        for shape in SHAPE_NAMES
    ]
    for i, a in enumerate(images):
        for b in images[:i]:
            assert (np.abs(a.astype(int) - b) > 80).any(axis=(1, 2, 3)).all()


def test_pairs_choose_what_is_drawn():
    pairs = [("red", "circle"), ("cyan", "ring")]
    _, truth = make_captioned_shapes(200, pairs=pairs, return_truth=True)
    assert set(zip(truth["colour"], truth["shape"], strict=True)) == set(pairs)


def test_plain_captions_repeat():
    X, truth = make_captioned_shapes(200, detailed=False, return_truth=True)
    expected = "a " + truth["colour"] + " " + truth["shape"]
    assert X["caption"].tolist() == expected.tolist()


def test_mismatched_captions_are_of_other_images():
    X, truth = make_captioned_shapes(2000, mismatched=0.3, return_truth=True)
    clean, _ = make_captioned_shapes(2000, return_truth=True)
    wrong = ~truth["matched"].to_numpy()
    assert wrong.mean() == pytest.approx(0.3, abs=0.04)
    same = (X["caption"] == clean["caption"]).to_numpy()
    assert same[~wrong].all()
    assert same[wrong].mean() < 0.05
    assert (X["image"].array.block == clean["image"].array.block).all()


def test_seeds():
    a, b, c = (make_captioned_shapes(20, random_state=s) for s in (0, 0, 1))
    assert (a["image"].array.block == b["image"].array.block).all()
    assert a["caption"].tolist() == b["caption"].tolist()
    assert a["caption"].tolist() != c["caption"].tolist()


@pytest.mark.parametrize(
    ("options", "parameter"),
    [
        ({"n": 0}, "n"),
        ({"size": 8}, "size"),
        ({"pairs": []}, "pairs"),
        ({"pairs": [("red", "circel")]}, "pairs"),
        ({"mismatched": 1.0}, "mismatched"),
        ({"detailed": 1}, "detailed"),
    ],
)
def test_bad_options_are_named(options, parameter):
    with pytest.raises(ParameterError, match=f"'{parameter}'"):
        make_captioned_shapes(**options)
