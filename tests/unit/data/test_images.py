"""ImageColumn against NumPy and Pillow used by hand, and each of its named errors."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from semistruct.data import ImageColumn, ImageRows, TensorArray, _image_cells
from semistruct.exceptions import ImageError, ParameterError

OWNER = "image(scan)"


def fit(cells, **options):
    return ImageColumn.fit(column(cells), owner=OWNER, **options)


def column(cells):
    if isinstance(cells, (TensorArray, pd.Series)):
        return pd.Series(cells, name="scan")
    values = np.empty(len(cells), dtype=object)
    for i, cell in enumerate(cells):
        values[i] = cell
    return pd.Series(values, name="scan", index=[f"p{i}" for i in range(len(cells))])


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def gray(rng):
    return rng.integers(0, 255, (12, 6, 5)).astype(np.uint8)


@pytest.fixture
def rgb(rng):
    return rng.integers(0, 255, (12, 6, 5, 3)).astype(np.uint8)


def save(folder, images, **options):
    folder.mkdir(exist_ok=True)
    paths = [str(folder / f"{i}.png") for i in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path, **options)
    return paths


def oracle(block, divisor):
    """Scale and normalise (m, C, H, W) with NumPy alone, in float64."""
    x = block.astype(np.float64) / divisor
    mean = x.mean(axis=(0, 2, 3), keepdims=True)
    std = x.std(axis=(0, 2, 3), keepdims=True)
    return (x - mean) / np.where(std == 0, 1, std)


class TestArrays:
    @pytest.mark.parametrize(
        ("dtype", "divisor", "rule"),
        [
            ("uint8", 255, "uint8"),
            ("uint16", 65535, "uint16"),
            ("float32", 1, "as is"),
            ("float64", 1, "as is"),
            ("int64", 1, "as is"),
        ],
    )
    def test_scaling_and_normalisation(self, gray, dtype, divisor, rule):
        block = gray.astype(dtype)
        reader = fit(TensorArray(block))
        pixels, mask = reader.read(column(TensorArray(block)))
        assert pixels.dtype == torch.float32
        assert mask.dtype == torch.bool
        assert mask.all()
        assert reader.rule == rule
        assert reader.shape == (1, 6, 5)
        np.testing.assert_allclose(pixels, oracle(block[:, None], divisor), atol=2e-5)

    def test_moments_over_several_chunks(self, rng):
        block = rng.normal(1000.0, 0.5, (700, 2, 3, 3)).astype(np.float32)
        reader = fit(TensorArray(block))
        x = block.astype(np.float64)
        np.testing.assert_allclose(reader.mean, x.mean(axis=(0, 1, 2)), rtol=1e-9)
        np.testing.assert_allclose(reader.std, x.std(axis=(0, 1, 2)), rtol=1e-6)

    @pytest.mark.parametrize("boxed", [True, False])
    def test_layouts_agree(self, rgb, boxed):
        first, last = np.moveaxis(rgb, 3, 1), rgb
        found = []
        for block in (first, last):
            cells = TensorArray(block) if boxed else list(block)
            reader = fit(cells)
            assert reader.shape == (3, 6, 5)
            found.append(reader.read(column(cells))[0])
        np.testing.assert_array_equal(*found)
        np.testing.assert_allclose(found[0], oracle(first, 255), atol=2e-5)

    def test_four_channels_stay(self, rng):
        block = rng.random((5, 6, 6, 4))
        reader = fit(list(block))
        assert reader.shape == (4, 6, 6)
        pixels, _ = reader.read(column(list(block)))
        np.testing.assert_allclose(
            pixels, oracle(np.moveaxis(block, 3, 1), 1), atol=1e-5
        )

    def test_single_channel_axis(self, gray):
        reader = fit(list(gray[..., None]))
        assert reader.shape == (1, 6, 5)
        plain, _ = fit(list(gray)).read(column(list(gray)))
        np.testing.assert_array_equal(
            plain, reader.read(column(list(gray[:, None])))[0]
        )

    def test_torch_tensors(self, gray):
        reader = fit([torch.from_numpy(image) for image in gray])
        assert reader.kind == "array"

    def test_constant_channel(self):
        block = np.full((4, 3, 3), 7.0)
        pixels, _ = fit(TensorArray(block)).read(column(TensorArray(block)))
        assert (pixels == 0).all()

    def test_nulls_are_zero_and_masked(self, gray):
        cells = [gray[0], None, gray[1], np.nan, pd.NA]
        reader = fit(cells)
        pixels, mask = reader.read(column(cells))
        assert mask.tolist() == [True, False, True, False, False]
        assert (pixels[~mask] == 0).all()
        np.testing.assert_allclose(pixels[mask], oracle(gray[:2, None], 255), atol=2e-5)
        as_block = TensorArray.from_cells(cells)
        np.testing.assert_array_equal(reader.read(column(as_block))[0], pixels)
        none = reader.read(pd.Series([np.nan, None], name="scan"))
        assert not none[1].any()
        assert none[0].shape == (2, 1, 6, 5)

    def test_what_a_null_hides_is_not_seen(self, gray):
        block = gray.astype(float)
        block[3] = np.nan
        mask = np.arange(12) != 3
        reader = fit(TensorArray(block, mask))
        np.testing.assert_allclose(reader.mean, block[mask].mean())

    def test_rows(self, gray):
        series = column(TensorArray(gray))
        reader = ImageColumn.fit(series, owner=OWNER)
        every, _ = reader.read(series)
        some, mask = reader.read(series, rows=[5, 0, 5])
        np.testing.assert_array_equal(some, every[[5, 0, 5]])
        assert len(mask) == 3
        empty, none = reader.read(series, rows=[])
        assert empty.shape == (0, 1, 6, 5)
        assert len(none) == 0

    def test_size(self, rng):
        cells = [rng.random((8, 8)), rng.random((4, 6))]
        reader = fit(cells, size=4)
        assert reader.shape == (1, 4, 4)
        reader.mean[:], reader.std[:] = 0, 1
        pixels, _ = reader.read(column(cells))
        halves = cells[0].reshape(4, 2, 4, 2)
        # the antialiased filter of a factor 2 is a triangle of 4 taps: 1/8 (1, 3, 3, 1)
        middle = np.array([1, 3, 3, 1]) / 8
        expected = middle @ cells[0][1:5, 1:5] @ middle
        np.testing.assert_allclose(pixels[0, 0, 1, 1], expected, atol=1e-6)
        assert abs(float(pixels[0].mean()) - halves.mean()) < 0.05
        assert fit(TensorArray(rng.random((3, 8, 8))), size=(2, 5)).shape == (1, 2, 5)


class TestFiles:
    def test_rgb_and_gray(self, tmp_path, rgb, gray):
        paths = save(tmp_path, rgb)
        reader = fit(paths)
        assert reader.kind == "path"
        pixels, mask = reader.read(column(paths))
        assert mask.all()
        np.testing.assert_allclose(
            pixels, oracle(np.moveaxis(rgb, 3, 1), 255), atol=2e-5
        )
        dark = save(tmp_path / "gray", gray)
        assert fit([Path(p) for p in dark]).channels == 1
        mixed = fit([paths[0], dark[0]])
        assert mixed.channels == 3
        both, _ = reader.read(column([dark[0]]))  # gray is read as RGB, at predict too
        by_hand = np.repeat(gray[0][None], 3, axis=0) / 255
        by_hand = (by_hand - reader.mean[:, None, None]) / reader.std[:, None, None]
        np.testing.assert_allclose(both[0], by_hand, atol=2e-5)

    def test_paths_pil_and_arrays_agree(self, tmp_path, rgb):
        paths = save(tmp_path, rgb)
        images = [Image.fromarray(image) for image in rgb]
        found = [
            fit(cells).read(column(cells))[0] for cells in (paths, images, list(rgb))
        ]
        np.testing.assert_array_equal(found[0], found[1])
        np.testing.assert_allclose(found[0], found[2], atol=1e-6)
        assert fit(images).kind == "pil"
        assert fit([images[0], paths[1]]).kind == "path"

    def test_in_memory(self, tmp_path, gray):
        paths = save(tmp_path, gray)
        reader = fit(paths)
        assert not reader.in_memory(column(paths))
        assert not reader.in_memory(column([None, Path(paths[0])]))
        assert reader.in_memory(column(TensorArray(gray)))
        assert reader.in_memory(column(list(gray)))
        assert reader.in_memory(column([None, None]))

    def test_string_column(self, tmp_path, gray):
        paths = save(tmp_path, gray)
        series = pd.Series([*paths, None], dtype="string", name="scan")
        _, mask = ImageColumn.fit(series, owner=OWNER).read(series)
        assert mask.tolist() == [True] * 12 + [False]

    def test_alpha_is_composited_on_black(self):
        clear = np.zeros((2, 2, 4), dtype=np.uint8)
        clear[..., :3] = 200
        clear[0, :, 3] = 255
        clear[1, :, 3] = 51
        reader = fit([Image.fromarray(clear, "RGBA")])
        reader.mean[:], reader.std[:] = 0, 1
        pixels = reader.read(column([Image.fromarray(clear, "RGBA")]))[0][0] * 255
        assert reader.channels == 3
        np.testing.assert_allclose(pixels[:, 0], 200, atol=1)
        np.testing.assert_allclose(pixels[:, 1], 200 * 51 / 255, atol=1)
        gray = Image.fromarray(clear[..., [0, 3]], "LA")
        reader = fit([gray])
        assert reader.channels == 1
        palette = Image.fromarray(clear[..., :3]).quantize(4)
        assert fit([palette]).channels == 3

    def test_16_bit_and_floating_files(self, tmp_path, rng):
        deep = rng.integers(0, 65535, (6, 5)).astype(np.uint16)
        path = save(tmp_path, [deep])[0]
        reader = fit([path, path])
        assert (reader.rule, reader.channels) == ("uint16", 1)
        pixels, _ = reader.read(column([path]))
        np.testing.assert_allclose(pixels, oracle(deep[None, None], 65535), atol=2e-5)
        real = Image.fromarray(rng.random((6, 5)).astype(np.float32))
        assert fit([real]).rule == "as is"

    def test_exif_orientation(self, tmp_path):
        image = Image.new("RGB", (6, 4))
        image.paste((255, 255, 255), (0, 0, 3, 4))  # the left half is white
        exif = Image.Exif()
        exif[0x0112] = 6  # to be turned clockwise by 90 degrees
        path = tmp_path / "turned.jpg"
        image.save(path, exif=exif, quality=95)
        reader = fit([path])
        assert reader.shape == (3, 6, 4)
        reader.mean[:], reader.std[:] = 0, 1
        pixels, _ = reader.read(column([path]))
        assert float(pixels[0, :, :2].mean()) > 0.9  # the white half is on top
        assert float(pixels[0, :, 4:].mean()) < 0.1

    def test_size(self, tmp_path, rgb):
        paths = save(tmp_path, [rgb[0], rgb[1][:4, :4]])
        reader = fit(paths, size=(3, 4))
        reader.mean[:], reader.std[:] = 0, 1
        pixels, _ = reader.read(column(paths))
        with Image.open(paths[0]) as image:
            by_hand = np.asarray(image.resize((4, 3), Image.Resampling.BILINEAR))
        np.testing.assert_allclose(
            pixels[0], np.moveaxis(by_hand, 2, 0) / 255, atol=1e-6
        )

    def test_moments_from_a_fixed_sample(self, tmp_path, gray, monkeypatch):
        paths = save(tmp_path, gray)
        many = [paths[i % 12] for i in range(1200)]
        decoded = []
        plain = _image_cells._pil_pixels
        monkeypatch.setattr(
            _image_cells, "_pil_pixels", lambda *a: decoded.append(1) or plain(*a)
        )
        first, second = fit(many), fit(many)
        assert len(decoded) == 512 * 2
        np.testing.assert_array_equal(first.mean, second.mean)
        assert abs(first.mean[0] - gray.mean() / 255) < 0.01

    def test_header_only_at_fit(self, tmp_path, rgb):
        """A file that is cut short passes fit's header check and fails when read."""
        rng = np.random.default_rng(1)
        big = rng.integers(0, 255, (64, 64, 3)).astype(np.uint8)
        paths = save(tmp_path, [big, big])
        data = Path(paths[1]).read_bytes()
        reader = fit(paths)
        Path(paths[1]).write_bytes(data[: len(data) // 2])
        with pytest.raises(ImageError, match=r"column 'scan', row p1.*1\.png.*cannot"):
            reader.read(column(paths))


class TestDataset:
    def test_rows(self, tmp_path, rgb):
        cells = [*save(tmp_path, rgb), None]
        series = column(cells)
        reader = ImageColumn.fit(series, owner=OWNER)
        rows = ImageRows(reader, series)
        every, mask = reader.read(series)
        batches = list(DataLoader(rows, batch_size=5))
        np.testing.assert_array_equal(torch.cat([b[0] for b in batches]), every)
        np.testing.assert_array_equal(torch.cat([b[1] for b in batches]), mask)
        assert len(rows) == 13
        np.testing.assert_array_equal(rows[-2][0], every[11])
        with pytest.raises(IndexError):
            rows[13]
        back = pickle.loads(pickle.dumps(rows))
        np.testing.assert_array_equal(back[3][0], every[3])

    def test_workers(self, tmp_path, gray):
        series = column(save(tmp_path, gray))
        rows = ImageRows(ImageColumn.fit(series, owner=OWNER), series)
        loader = DataLoader(rows, batch_size=4, num_workers=1)
        found = torch.cat([pixels for pixels, _ in loader])
        np.testing.assert_array_equal(found, rows.column.read(series)[0])


class TestState:
    def test_round_trip(self, tmp_path, rgb):
        series = column(save(tmp_path, rgb))
        reader = ImageColumn.fit(series, owner=OWNER, size=(4, 3))
        state = reader.to_state()
        plain = {
            key: value.tolist() if isinstance(value, np.ndarray) else value
            for key, value in state.items()
        }
        back = ImageColumn.from_state(json.loads(json.dumps(plain)))
        assert back.to_state().keys() == state.keys()
        np.testing.assert_array_equal(back.read(series)[0], reader.read(series)[0])
        assert repr(back) == "ImageColumn('scan', kind='path', shape=(3, 4, 3))"


def message(cells, **options):
    with pytest.raises(ImageError) as caught:
        fit(cells, **options)
    text = str(caught.value)
    assert text.startswith("image(scan): column 'scan'")
    return text


class TestErrors:
    def test_all_null(self):
        assert "all its 2 cells are null" in message([None, np.nan])
        block = TensorArray(np.ones((2, 4, 4)), np.zeros(2, dtype=bool))
        assert "all its 2 cells are null" in message(block)

    def test_different_sizes(self, tmp_path, rgb):
        text = message([None, np.ones((6, 5)), np.ones((6, 5)), np.ones((4, 7))])
        assert "6×5 in row p1" in text
        assert "4×7 in row p3" in text
        assert "size=" in text
        text = message(save(tmp_path, [rgb[0], rgb[1][:3]]))
        assert "6×5 in row p0 and 3×5 in row p1" in text

    def test_missing_file(self, tmp_path, gray):
        path = save(tmp_path, gray[:1])[0]
        text = message([path, str(tmp_path / "none.png")])
        assert "row p1: there is no file" in text
        assert "none.png" in text

    def test_unreadable_file(self, tmp_path):
        bad = tmp_path / "bad.png"
        bad.write_text("no image")
        text = message([bad])
        assert "row p0" in text
        assert "bad.png' cannot be read" in text
        assert "row p0" in message([tmp_path])  # a folder

    def test_not_finite(self, gray):
        block = gray.astype(float)
        block[4, 0, 0] = np.nan
        block[5, 0, 0] = np.inf
        assert "row 4: the image holds NaN or infinite" in message(TensorArray(block))
        assert "row p4: the image holds NaN" in message(list(block))
        reader = fit(list(block[:4]))
        with pytest.raises(ImageError, match="row p5"):
            reader.read(column(list(block)), rows=[0, 5])

    def test_kinds(self, tmp_path, gray):
        path = save(tmp_path, gray[:1])[0]
        assert "differ in kind: 'file' in row p0 and 'array' in row p1" in message(
            [path, gray[1]]
        )
        assert "row p1: a cell is a path" in message([gray[0], 3.5])
        assert "got list" in message([[1, 2]])

    def test_number_types_and_channels(self, gray, rgb):
        assert "number type: 'uint8' in row p0 and 'as is' in row p1" in message(
            [gray[0], gray[1].astype(float)]
        )
        assert "channels: 1 in row p0 and 3 in row p1" in message([gray[0], rgb[1]])
        assert "layout" in message([rgb[0], np.moveaxis(rgb[1], 2, 0)])

    @pytest.mark.parametrize("shape", [(5,), (6, 5, 2), (2, 3, 6, 5)])
    def test_shapes(self, shape):
        assert "is no image" in message([np.ones(shape)])
        assert "row 0" in message(TensorArray(np.ones((2, *shape))))

    def test_ambiguous_shape(self):
        assert "can be read as (H, W, C) and as (C, H, W)" in message(
            [np.ones((3, 8, 4))]
        )

    def test_words(self):
        assert "holds numbers" in message([np.full((2, 2), "a")])

    @pytest.mark.parametrize("size", [0, -1, 2.5, "8", (8,), (8, 0), (1, 2, 3)])
    def test_size(self, size):
        with pytest.raises(ParameterError, match="'size'"):
            fit([np.ones((4, 4))], size=size)

    def test_prediction_of_other_images(self, tmp_path, gray, rgb):
        reader = fit(list(gray))
        cases = [
            (list(gray[:, :4]), "row p0: the image is 4×5 where 6×5 was fitted"),
            (TensorArray(gray[:, :4]), "row 0: the image is 4×5 where 6×5 was fitted"),
            (list(rgb), "has 3 channels where 1 were fitted"),
            (list(gray / 255), "'as is' where 'uint8' was fitted"),
            (save(tmp_path, rgb), "has 3 channels where 1 were fitted"),
        ]
        for cells, text in cases:
            with pytest.raises(ImageError, match=text):
                reader.read(column(cells))
        resized = fit(list(gray), size=4)
        assert resized.read(column(list(gray[:, :4])))[0].shape == (12, 1, 4, 4)
        with pytest.raises(ImageError, match="has 1 channels where 4"):
            fit([np.ones((6, 5, 4), np.uint8)]).read(column(save(tmp_path, gray)))
