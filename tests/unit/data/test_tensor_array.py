"""TensorArray in a DataFrame, with cells of two axes, as scans have them."""

from __future__ import annotations

import pickle
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.model_selection import GridSearchCV, KFold, train_test_split
from sklearn.utils import _safe_indexing

from semistruct.data import TensorArray, TensorDtype
from semistruct.exceptions import DataError


@pytest.fixture
def block():
    return np.random.default_rng(0).integers(0, 255, (7, 8, 8)).astype(np.uint8)


@pytest.fixture
def frame(block):
    mask = np.array([True, True, False, True, True, True, True])
    return pd.DataFrame(
        {"id": list("abcdefg"), "scan": TensorArray(block.copy(), mask)},
        index=[10, 11, 12, 13, 14, 15, 16],
    )


def same(array, block, mask):
    """Compare with an independent account: block and mask, entry by entry."""
    assert array.mask.tolist() == list(mask)
    for i in np.flatnonzero(mask):
        np.testing.assert_array_equal(array.block[i], block[i])


class TestDtype:
    def test_name_and_string(self):
        dtype = TensorDtype("uint8", (8, 8))
        assert dtype.name == str(dtype) == "tensor[uint8, (8, 8)]"
        assert pd.api.types.pandas_dtype("tensor[uint8, (8, 8)]") == dtype
        assert TensorDtype.construct_from_string("tensor[float32, (3,)]").shape == (3,)
        assert dtype == "tensor[uint8, (8, 8)]"
        assert dtype != TensorDtype("uint8", (8, 9))
        assert pickle.loads(pickle.dumps(dtype)) == dtype

    @pytest.mark.parametrize(
        "name", ["tensor", "tensor[uint8]", "tensor[uint8, ()]", "tensor[string, (2,)]"]
    )
    def test_other_strings(self, name):
        with pytest.raises(TypeError, match="TensorDtype"):
            TensorDtype.construct_from_string(name)

    def test_bad_dtypes(self):
        with pytest.raises(DataError, match="complex128"):
            TensorDtype(complex, (2,))
        with pytest.raises(DataError, match="at least one axis"):
            TensorDtype(float, ())

    def test_byte_order_is_the_machines(self):
        array = TensorArray(np.ones((2, 3), dtype=">f4"))
        assert array.dtype.name == "tensor[float32, (3,)]"
        assert array.block.dtype.isnative


class TestMaking:
    def test_block_is_not_copied(self, block):
        array = TensorArray(block)
        assert np.shares_memory(array.block, block)
        assert not np.shares_memory(TensorArray(block, copy=True).block, block)
        assert len(array) == 7
        assert array.nbytes == 7 * 64 + 7

    def test_from_cells(self, block):
        cells = [block[0], None, block[1], np.nan, pd.NA]
        array = TensorArray.from_cells(cells)
        same(array, np.stack([block[0]] * 2 + [block[1]] * 3), [1, 0, 1, 0, 0])
        assert array.dtype == "tensor[uint8, (8, 8)]"

    def test_from_cells_promotes(self):
        array = TensorArray.from_cells([np.ones(2, np.uint8), np.full(2, 0.5)])
        assert array.dtype == "tensor[float64, (2,)]"

    def test_errors(self, block):
        with pytest.raises(DataError, match=r"row 1 has \(8, 4\).*\(8, 8\)"):
            TensorArray.from_cells([block[0], block[0][:, :4]])
        with pytest.raises(DataError, match="all cells are null"):
            TensorArray.from_cells([None, None])
        with pytest.raises(DataError, match="two axes"):
            TensorArray(np.ones(3))
        with pytest.raises(DataError, match=r"boolean of shape \(7,\)"):
            TensorArray(block, np.ones(7, dtype=int))
        with pytest.raises(DataError, match=r"boolean of shape \(7,\)"):
            TensorArray(block, np.ones(6, dtype=bool))

    def test_series_of_cells(self, block):
        series = pd.Series([block[0], None], dtype="tensor[uint8, (8, 8)]")
        same(series.array, block, [1, 0])
        same(pd.Series([None, None], dtype=series.dtype).array, block, [0, 0])


class TestIndexing:
    def test_cells_slices_lists_masks(self, frame, block):
        scan = frame["scan"]
        np.testing.assert_array_equal(scan.iloc[1], block[1])
        np.testing.assert_array_equal(scan.loc[16], block[6])
        np.testing.assert_array_equal(frame.at[10, "scan"], block[0])
        assert scan.iloc[2] is pd.NA
        same(scan.iloc[1:3].array, block[1:3], [1, 0])
        same(scan.iloc[[6, 0, -1]].array, block[[6, 0, 6]], [1, 1, 1])
        same(scan[frame["id"] > "e"].array, block[5:], [1, 1])
        same(scan.array[..., 3:], block[3:], [1, 1, 1, 1])
        with pytest.raises(IndexError, match="one axis"):
            scan.array[0, 1]

    def test_slices_are_views(self, block):
        array = TensorArray(block)
        assert np.shares_memory(array[2:5].block, block)
        assert np.shares_memory(array[3], block)

    def test_take(self, frame, block):
        array = frame["scan"].array
        same(array.take([3, -1]), block[[3, 6]], [1, 1])
        filled = array.take([3, -1, 2], allow_fill=True)
        same(filled, block[[3, 0, 2]], [1, 0, 0])
        given = array.take([-1, 3], allow_fill=True, fill_value=block[5])
        same(given, block[[5, 3]], [1, 1])
        same(array[:0].take([-1, -1], allow_fill=True), block, [0, 0])
        with pytest.raises(IndexError, match="empty"):
            array[:0].take([0])
        with pytest.raises(ValueError, match="allow_fill"):
            array.take([-2], allow_fill=True)

    def test_frame_verbs(self, frame, block):
        mask = frame["scan"].array.mask
        shuffled = frame.sample(frac=1, random_state=1)
        order = shuffled.index - 10
        same(shuffled["scan"].array, block[order], mask[order])
        same(frame.drop(index=[10, 11]).reset_index(drop=True)["scan"].array, block[2:],
             mask[2:])  # fmt: skip
        same(frame.head(2)["scan"].array, block, [1, 1])
        same(frame.reindex([11, 99])["scan"].array, block[[1, 0]], [1, 0])
        same(frame["scan"].shift(1).array[1:], block[:-1], mask[:-1])
        assert frame.dropna()["id"].tolist() == list("abdefg")

    def test_merge_and_concat(self, frame, block):
        right = pd.DataFrame({"id": ["c", "a", "z"], "w": [1, 2, 3]})
        merged = right.merge(frame, on="id", how="left")
        same(merged["scan"].array, block[[2, 0, 0]], [0, 1, 0])
        both = pd.concat([frame, frame.drop(columns="scan").head(1)])
        same(both["scan"].array, np.r_[block, block[:1]], [1, 1, 0, 1, 1, 1, 1, 0])
        wider = pd.concat(
            [frame["scan"], frame["scan"].astype("tensor[int32, (8, 8)]")]
        )
        assert wider.dtype == "tensor[int32, (8, 8)]"
        with pytest.raises(DataError, match=r"shapes \[\(2,\), \(3,\)\]"):
            TensorArray._concat_same_type(
                [TensorArray(np.ones((1, 2))), TensorArray(np.ones((1, 3)))]
            )


class TestSetting:
    def test_null(self, frame):
        frame["scan"].array[1] = None
        frame.loc[13, "scan"] = None
        frame.iloc[4, 1] = np.nan
        series = frame["scan"].copy()
        series.iloc[0] = None
        series.iloc[5:] = pd.NA
        assert frame["scan"].isna().tolist() == [0, 1, 1, 1, 1, 0, 0]
        assert series.isna().all()
        assert series.count() == 0

    def test_cells(self, frame, block):
        scan = frame["scan"].array
        scan[2] = block[0]
        np.testing.assert_array_equal(scan[2], block[0])
        frame.at[10, "scan"] = np.zeros((8, 8))
        assert frame.at[10, "scan"].sum() == 0
        frame.loc[[13, 14], "scan"] = TensorArray(block[[5, 6]])
        same(frame["scan"].array[3:5], block[5:], [1, 1])
        scan = frame["scan"].array
        scan[[0, 1]] = [None, block[6]]
        same(scan[:2], block[[0, 6]], [0, 1])
        scan[5] = [block[1]]
        same(scan[5:6], block[1:], [1])
        scan[:] = block[4]
        same(scan, np.stack([block[4]] * 7), [1] * 7)

    def test_copy_is_independent(self, frame):
        copy = frame.copy()
        copy.loc[10, "scan"] = None
        copy.at[11, "scan"] = np.zeros((8, 8))
        assert frame["scan"].isna().sum() == 1
        assert frame.at[11, "scan"].sum() > 0

    def test_errors(self, frame):
        scan = frame["scan"].array
        with pytest.raises(DataError, match=r"3.0 is not a cell.*\(8, 8\)"):
            scan[0] = 3.0
        with pytest.raises(DataError, match=r"\(8, 8\); the values.*\(4, 4\)"):
            scan[:1] = [np.ones((4, 4))]
        with pytest.raises(DataError, match="without changing them"):
            scan[0] = np.full((8, 8), 0.5)
        with pytest.raises(DataError, match="without changing them"):
            scan[0] = np.full((8, 8), 256)
        with pytest.raises(ValueError):
            scan[:3] = scan[:2]
        assert scan.mask.sum() == 6


class TestComparing:
    def test_equality(self, block):
        mask = np.array([True] * 6 + [False])
        array, other = TensorArray(block, mask), TensorArray(block.copy())
        other.block[2, 0, 0] += 1
        assert (array == other).tolist() == [1, 1, 0, 1, 1, 1, 0]
        assert (array != other).tolist() == [0, 0, 1, 0, 0, 0, 1]
        assert (array == block[3]).tolist() == [0, 0, 0, 1, 0, 0, 0]
        assert not (array == 3).any()
        assert not (array == None).any()  # noqa: E711
        assert not (array == TensorArray(np.ones((7, 2)))).any()
        assert (pd.Series(array) == pd.Series(other)).sum() == 5
        with pytest.raises(ValueError, match="Lengths"):
            array == other[:3]  # noqa: B015

    def test_equals(self):
        block = np.array([[1.0, np.nan], [3.0, 4.0]])
        array = TensorArray(block, np.array([True, False]))
        assert array.equals(array.copy())
        hidden = array.copy()
        hidden.block[1] = 7  # what stands under a null cell has no meaning
        assert array.equals(hidden)
        assert not array.equals(TensorArray(block))
        assert not array.equals(array.astype("tensor[float32, (2,)]"))
        assert not array.equals(block)

    def test_unique_and_duplicates(self, block):
        array = TensorArray(block[[0, 1, 0, 2, 1]], np.array([1, 1, 1, 0, 1], bool))
        same(array.unique(), block[[0, 1, 2]], [1, 1, 0])
        frame = pd.DataFrame({"scan": array})
        assert frame.duplicated().tolist() == [0, 0, 1, 0, 1]
        counts = pd.Series(array).value_counts(dropna=False)
        assert counts.tolist() == [2, 2, 1]
        zeros = TensorArray(np.array([[0.0], [-0.0]]))
        assert len(zeros.unique()) == 1

    def test_sorts_as_tuples_do(self):
        rng = np.random.default_rng(1)
        block = rng.integers(0, 3, (20, 2, 2))
        found = TensorArray(block)[TensorArray(block).argsort()]
        rows = [tuple(cell.ravel()) for cell in found.block]
        assert all(a <= b for a, b in pairwise(rows))


class TestShowing:
    def test_print(self, frame):
        text = repr(frame)
        assert "<8×8 mean " in text
        assert "<NA>" in text
        assert max(len(line) for line in text.splitlines()) < 40
        assert "tensor[uint8, (8, 8)]" in repr(frame["scan"].array)
        assert len(repr(TensorArray(np.ones((5000, 64, 64))))) < 1000
        assert "8×8" in frame.to_html()

    def test_describe(self, frame):
        summary = frame["scan"].describe()
        assert summary["count"] == 6
        assert summary["unique"] == 6
        assert frame.describe(include="all").loc["count", "scan"] == 6
        assert frame.describe().shape[0] > 0

    def test_info(self, frame, capsys):
        frame.info()
        assert "6 non-null" in capsys.readouterr().out


class TestConverting:
    def test_to_numpy(self, frame, block):
        cells = frame["scan"].to_numpy()
        assert cells.shape == (7,)
        assert cells.dtype == object
        assert cells[2] is pd.NA
        np.testing.assert_array_equal(cells[3], block[3])
        np.testing.assert_array_equal(frame["scan"].astype(object)[13], block[3])
        array = frame["scan"].array
        numbers = array.to_numpy(np.float32, na_value=np.nan)
        assert numbers.shape == (7, 8, 8)
        assert np.isnan(numbers[2]).all()
        np.testing.assert_array_equal(numbers[3], block[3])
        with pytest.raises(DataError, match="row 2 is null"):
            array.to_numpy(np.float32)
        assert np.asarray(array[:2], dtype=float).shape == (2, 8, 8)
        assert not np.shares_memory(array[:2].to_numpy("uint8", copy=True), array.block)
        with pytest.raises(ValueError, match="copy"):
            np.array(array, copy=False)

    def test_astype(self, frame):
        scan = frame["scan"]
        assert scan.astype("tensor[float32, (8, 8)]").iloc[0].dtype == np.float32
        with pytest.raises(DataError, match=r"\(8, 8\) cannot become"):
            scan.astype("tensor[uint8, (64,)]")
        with pytest.raises(TypeError, match="cannot become float64"):
            scan.astype(float)

    def test_map(self, frame, block):
        means = frame["scan"].map(np.mean, na_action="ignore")
        assert means.iloc[0] == block[0].mean()

    def test_pickle(self, frame):
        back = pickle.loads(pickle.dumps(frame))
        pd.testing.assert_frame_equal(back, frame)
        part = pickle.dumps(TensorArray(np.ones((1000, 8, 8)))[:2])
        assert len(part) < 3000  # a slice takes only its own rows along


class TestArrow:
    @pytest.mark.parametrize("kind", ["bool", "uint8", "int16", "float32", "float64"])
    @pytest.mark.parametrize("shape", [(3,), (2, 3), (1, 2, 3)])
    def test_parquet(self, tmp_path, kind, shape):
        rng = np.random.default_rng(2)
        block = (rng.normal(size=(50, *shape)) * 3).astype(kind)
        frame = pd.DataFrame({"x": range(50), "scan": TensorArray(block)})
        frame.loc[[0, 7, 49], "scan"] = None
        frame.to_parquet(tmp_path / "t.parquet", row_group_size=20)
        back = pd.read_parquet(tmp_path / "t.parquet")
        pd.testing.assert_frame_equal(back, frame)
        back.loc[1, "scan"] = None  # what was read can be written to

    def test_without_nulls_empty_and_slices(self, tmp_path, frame):
        for i, part in enumerate([frame.iloc[:2], frame.iloc[:0], frame.iloc[1:6:2]]):
            part.to_parquet(tmp_path / f"{i}.parquet")
            back = pd.read_parquet(tmp_path / f"{i}.parquet")
            pd.testing.assert_frame_equal(back, part)

    def test_lists_of_other_length(self):
        import pyarrow as pa

        dtype = TensorDtype("int64", (2,))
        good = dtype.__from_arrow__(pa.array([[1, 2], None, [3, 4]]))
        same(good, np.array([[1, 2], [0, 0], [3, 4]]), [1, 0, 1])
        with pytest.raises(DataError, match="must hold 2"):
            dtype.__from_arrow__(pa.array([[1, 2, 3]]))
        with pytest.raises(DataError, match="none of them null"):
            dtype.__from_arrow__(pa.array([[1, None]]))
        chunks = pa.chunked_array([pa.array([[1, 2]]), pa.array([[5, 6], None])])
        same(
            dtype.__from_arrow__(chunks), np.array([[1, 2], [5, 6], [0, 0]]), [1, 1, 0]
        )
        assert pa.array(good, type=pa.list_(pa.int32())).type == pa.list_(pa.int32())


class MeanBrightness(BaseEstimator):
    """Predicts y by the scan's mean brightness times a factor."""

    def __init__(self, factor=1.0):
        self.factor = factor

    def fit(self, X, y):
        assert isinstance(X["scan"].array, TensorArray)
        return self

    def score(self, X, y):
        found = X["scan"].array.block.mean(axis=(1, 2)) * self.factor
        return -float(np.mean((found - y) ** 2))


class TestScikitLearn:
    def test_split_and_safe_indexing(self, frame, block):
        train, test = train_test_split(frame, random_state=0, test_size=3)
        for part in (train, test):
            rows = part.index - 10
            same(part["scan"].array, block[rows], frame["scan"].array.mask[rows])
        part = _safe_indexing(frame, [0, 3])
        same(part["scan"].array, block[[0, 3]], [1, 1])
        left, _ = train_test_split(frame["scan"].array, shuffle=False, test_size=3)
        same(left, block[:4], [1, 1, 0, 1])

    def test_grid_search(self, frame, block):
        y = 2.0 * block.mean(axis=(1, 2))
        search = GridSearchCV(MeanBrightness(), {"factor": [1.0, 2.0]}, cv=KFold(3))
        assert search.fit(frame, y).best_params_ == {"factor": 2.0}
