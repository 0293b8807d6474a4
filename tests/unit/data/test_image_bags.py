"""Bags of images against single images read one by one."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from semistruct.data import (
    ImageBagColumn,
    ImageBagRows,
    ImageColumn,
    TensorArray,
    holds_bags,
    join_views,
)
from semistruct.exceptions import ImageError, ParameterError

OWNER = "image(slide)"
COUNTS = (3, 0, 1, 5)


def column(cells) -> pd.Series:
    values = np.empty(len(cells), dtype=object)
    for i, cell in enumerate(cells):
        values[i] = cell
    return pd.Series(values, name="slide", index=[f"p{i}" for i in range(len(cells))])


def fit(series, **options) -> ImageBagColumn:
    return ImageBagColumn.fit(series, owner=OWNER, **options)


@pytest.fixture
def tiles():
    rng = np.random.default_rng(0)
    return [rng.integers(0, 255, (k, 6, 5, 3)).astype(np.uint8) for k in COUNTS]


@pytest.fixture
def files(tiles, tmp_path):
    cells = []
    for i, bag in enumerate(tiles):
        paths = [str(tmp_path / f"{i}_{k}.png") for k in range(len(bag))]
        for path, tile in zip(paths, bag, strict=True):
            Image.fromarray(tile).save(path)
        cells.append(paths or None)
    return column(cells)


def check(bags, mask, tiles) -> None:
    """Compare with NumPy alone: scaled, normalised by all tiles, then filled up."""
    every = np.concatenate(tiles) / 255
    mean, std = every.mean((0, 1, 2)), every.std((0, 1, 2))
    wanted = np.zeros((4, 5, 4, 6, 5))
    for i, bag in enumerate(tiles):
        wanted[i, : len(bag), :3] = ((bag / 255 - mean) / std).transpose(0, 3, 1, 2)
        wanted[i, : len(bag), 3] = 1
    np.testing.assert_allclose(bags.numpy(), wanted, atol=1e-5)
    assert bags.dtype == torch.float32
    assert mask.tolist() == [True, False, True, True]


@pytest.mark.parametrize("kind", ["lists", "tuples", "arrays", "tensors", "pil"])
def test_cells_in_memory(tiles, kind) -> None:
    make = {
        "lists": list,
        "tuples": tuple,
        "arrays": lambda bag: bag if len(bag) else None,
        "tensors": lambda bag: torch.from_numpy(bag) if len(bag) else pd.NA,
        "pil": lambda bag: [Image.fromarray(tile) for tile in bag],
    }[kind]
    series = column([make(bag) for bag in tiles])
    reader = fit(series)
    assert reader.shape == (5, 4, 6, 5)
    assert reader.in_memory(series)
    check(*reader.read(series), tiles)


def test_files(files, tiles) -> None:
    reader = fit(files)
    assert not reader.in_memory(files)
    check(*reader.read(files), tiles)
    rows = ImageBagRows(reader, files)
    loader = DataLoader(rows, batch_size=2)
    check(*(torch.cat(part) for part in zip(*loader, strict=True)), tiles)
    assert torch.equal(rows[-1][0], rows[3][0])
    with pytest.raises(IndexError, match="row 4 of 4"):
        rows[4]


def test_a_tensor_column() -> None:
    block = np.random.default_rng(0).random((4, 2, 6, 5))
    scans = pd.Series(TensorArray(block), name="slide", index=list("abcd"))
    scans.iloc[1] = None
    reader = fit(scans)
    bags, mask = reader.read(scans)
    lists = column([None if i == 1 else list(bag) for i, bag in enumerate(block)])
    wanted, _ = fit(lists).read(lists)
    torch.testing.assert_close(bags, wanted)
    assert mask.tolist() == [True, False, True, True]
    some, _ = reader.read(scans, rows=[3, 0])
    assert torch.equal(some, bags[[3, 0]])


def test_some_rows(files) -> None:
    reader = fit(files)
    bags, _ = reader.read(files)
    some, there = reader.read(files, rows=[3, 1])
    assert torch.equal(some, bags[[3, 1]])
    assert there.tolist() == [True, False]
    none, there = reader.read(files, rows=[])
    assert none.shape == (0, 5, 4, 6, 5)
    assert len(there) == 0


def test_other_rows_may_have_more_tiles_or_none(files) -> None:
    reader = fit(files.iloc[:3])
    assert reader.n_tiles == 3
    bags, _ = reader.read(files)
    assert bags.shape[1] == 5
    blank, there = reader.read(files.iloc[[1, 1]])
    assert blank.shape == (2, 1, 4, 6, 5)
    assert not blank.any()
    assert not there.any()


def test_thinning_is_even(files) -> None:
    whole, thin = fit(files), fit(files, max_tiles=3)
    assert thin.shape[0] == 3
    kept = [files.iloc[3][k] for k in (0, 2, 4)]
    wanted = column([files.iloc[0], None, files.iloc[2], kept])
    bags, _ = thin.read(files)
    assert torch.equal(bags, thin.read(wanted)[0])
    assert whole.read(files)[0].shape[1] == 5
    one = fit(files, max_tiles=1)
    assert one.read(files)[0][:, 0, 3, 0, 0].tolist() == [1, 0, 1, 1]


def test_missing_tiles_keep_their_place(tiles) -> None:
    series = column([[tiles[0][0], None], [float("nan"), tiles[0][1]], [None, pd.NA]])
    reader = fit(series)
    bags, mask = reader.read(series)
    assert bags[:, :, 3, 0, 0].tolist() == [[1, 0], [0, 1], [0, 0]]
    assert mask.tolist() == [True, True, False]
    assert not bags[0, 1].any()


def test_a_single_image_is_a_bag_of_one(files) -> None:
    reader = fit(files)
    path = files.iloc[2][0]
    alone, _ = reader.read(column([path, Image.open(path)]))
    assert torch.equal(alone[0], reader.read(files, rows=[2])[0][0, :1])
    assert torch.equal(alone[0], alone[1])


def test_size_and_moments_are_those_of_the_tiles(files) -> None:
    reader = fit(files, size=4)
    flat = column([path for cell in files if cell for path in cell])
    single = ImageColumn.fit(flat, size=4, owner=OWNER)
    assert reader.shape[2:] == (4, 4)
    bags, _ = reader.read(files)
    wanted, _ = single.read(flat)
    assert torch.equal(bags[:, :, :3][bags[:, :, 3, 0, 0] == 1], wanted)
    for found, own in zip(reader.moments, (single.mean, single.std), strict=True):
        np.testing.assert_array_equal(found, own)
    floats = column([[np.eye(3)]])
    assert fit(floats).moments is None


def test_states_and_pickles(files) -> None:
    reader = fit(files, max_tiles=4)
    state = reader.to_state()
    tiles = {k: v for k, v in state["tiles"].items() if k not in ("mean", "std")}
    json.dumps({**state, "tiles": tiles})
    for again in (
        ImageBagColumn.from_state(state),
        pickle.loads(pickle.dumps(reader)),
    ):
        assert (
            repr(again)
            == repr(reader)
            == ("ImageBagColumn('slide', shape=(4, 4, 6, 5))")
        )
        assert torch.equal(again.read(files)[0], reader.read(files)[0])


def test_views_of_several_columns(files) -> None:
    paths = files.iloc[3]
    table = pd.DataFrame(
        {"front": [paths[0], None, paths[2]], "side": [paths[1], None, pd.NA]},
        index=["a", "b", "c"],
    )
    views = join_views(table, ["front", "side"])
    assert views.name == "front, side"
    assert views.index.tolist() == ["a", "b", "c"]
    bags, mask = fit(views).read(views)
    assert bags[:, :, 3, 0, 0].tolist() == [[1, 1], [0, 0], [1, 0]]
    assert mask.tolist() == [True, False, True]
    blocks = pd.DataFrame({"front": TensorArray(np.ones((2, 4, 4)))})
    blocks["side"] = TensorArray(np.zeros((2, 4, 4)))
    found, _ = fit(join_views(blocks, ["front", "side"])).read(
        join_views(blocks, ["side", "front"])
    )
    assert found[0, :, 0, 0, 0].tolist() == [-1.0, 1.0]


def test_what_holds_bags(files) -> None:
    assert holds_bags(files)
    assert holds_bags(column([None, ()]))
    assert not holds_bags(column([None, "a.png"]))
    assert not holds_bags(pd.Series(TensorArray(np.ones((2, 3, 4, 4)))))


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        (3, "a bag is a list of images.*got int '3'"),
        (np.zeros((4, 4)), "a bag is a list of images.*got ndarray"),
        (np.zeros((4, 4, 3)), r"shape \(4, 4, 3\) can be one image.*Give a list"),
        ([np.zeros((4, 4)), "nowhere.png"], "tile 1: there is no file 'nowhere.png'"),
        ([np.zeros((4, 4)), 3], "tile 1: a cell is a path"),
    ],
)
def test_cells_that_are_no_bags(cell, words) -> None:
    cells = column([[np.ones((4, 4))], cell])
    with pytest.raises(ImageError, match=rf"image\(slide\).*'slide', row p1.*{words}"):
        fit(cells)
    reader = fit(cells.iloc[:1])
    with pytest.raises(ImageError, match=rf"image\(slide\).*'slide', row p1.*{words}"):
        reader.read(cells)


def test_tiles_of_different_sizes(tiles) -> None:
    cells = column([[tiles[0][0], tiles[0][1][:5]]])
    with pytest.raises(ImageError, match="6×5 in row p0, tile 0 and 5×5 in row p0, ti"):
        fit(cells)


def test_a_column_without_any_tile() -> None:
    with pytest.raises(ImageError, match="has no image"):
        fit(column([None, []]))
    with pytest.raises(ImageError, match=r"cells of shape \(4, 4\), where a bag has"):
        fit(pd.Series(TensorArray(np.ones((2, 4, 4))), name="slide"))


@pytest.mark.parametrize("max_tiles", [0, 1.5, "all"])
def test_max_tiles(files, max_tiles) -> None:
    with pytest.raises(ParameterError, match=r"'max_tiles' of image\(slide\)"):
        fit(files, max_tiles=max_tiles)
