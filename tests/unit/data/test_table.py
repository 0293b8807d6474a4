from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from semistruct._core.persistence import read_state, write_state
from semistruct.data import TableColumns
from semistruct.exceptions import ColumnError, DataError, ParameterError

OWNER = "tabular(a, g, b)"
NAMES = ("a", "g", "b")


def table(n: int = 30) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "g": rng.choice(["x", "y", "z"], n),
            "a": rng.normal(50.0, 8.0, n),
            "b": rng.integers(0, 9, n),
            "other": 1.0,
        },
        index=[f"r{i}" for i in range(n)],
    )


def literal(reader: TableColumns, frame: pd.DataFrame, train: pd.DataFrame) -> list:
    """The block cell by cell, from its description."""
    rows = []
    for _, row in frame.iterrows():
        cells = []
        for name in reader.names:
            if name in reader.levels:
                continue
            known = [v for v in train[name] if not pd.isna(v)]
            mean = sum(known) / len(known)
            sd = (sum((v - mean) ** 2 for v in known) / len(known)) ** 0.5
            cells.append(0.0 if pd.isna(row[name]) else (row[name] - mean) / (sd or 1))
        cells += [float(pd.isna(row[name])) for name in reader.indicators]
        for name, levels in reader.levels.items():
            found = [k for k, level in enumerate(levels) if level == row[name]]
            cells.append(found[0] + 1 if found else 0)
        rows.append(cells)
    return rows


def test_the_block_is_numbers_and_then_codes() -> None:
    frame = table()
    reader = TableColumns.fit(NAMES, frame, owner=OWNER)
    assert reader.columns == ("a", "b", "g")
    assert reader.numeric == ("a", "b")
    assert reader.facts == {"columns": ("a", "b", "g"), "cardinalities": (4,)}
    block, mask = reader.read(frame)
    assert block.dtype == torch.float32
    assert mask.all()
    expected = torch.tensor(literal(reader, frame, frame))
    torch.testing.assert_close(block, expected, atol=1e-5, rtol=1e-5)
    few, _ = reader.read(frame, rows=[4, 1])
    assert torch.equal(few, block[[4, 1]])


def test_numeric_columns_alone_are_centred_and_scaled() -> None:
    frame = table()
    frame["c"] = 3.0  # constant
    names = ("b", "c", "a")
    reader = TableColumns.fit(names, frame, owner="omics(…)", categories=False)
    block = reader.read(frame)[0].double().numpy()
    values = frame[["b", "c", "a"]].to_numpy(float)
    sd = np.where(values.std(axis=0) > 0, values.std(axis=0), 1.0)
    np.testing.assert_allclose(block, (values - values.mean(axis=0)) / sd, atol=1e-6)
    assert reader.columns == names
    assert reader.cardinalities == ()


def test_levels_of_each_kind() -> None:
    kinds = {
        "text": ["b", "a", "b"],
        "flag": [True, False, True],
        "kind": pd.Categorical(["v", "u", "v"], categories=["v", "u", "w"]),
        "word": pd.array(["p", "q", None], dtype="string"),
        "mixed": pd.Series([2, "two", 2], dtype=object),
    }
    frame = pd.DataFrame(kinds)
    names = list(frame.columns)
    reader = TableColumns.fit(names, frame, owner=OWNER, missing="mean")
    assert reader.levels == {
        "text": ["a", "b"],
        "flag": [False, True],
        "kind": ["v", "u"],
        "word": ["p", "q"],
        "mixed": [2, "two"],
    }
    assert reader.indicators == ("word",)
    block, _ = reader.read(frame)
    assert block.tolist() == [
        [0, 2, 2, 1, 1, 1],
        [0, 1, 1, 2, 2, 2],
        [1, 2, 2, 1, 0, 1],
    ]


def test_an_unseen_level_is_code_zero() -> None:
    frame = table()
    reader = TableColumns.fit(NAMES, frame, owner=OWNER)
    other = frame.head(2).assign(g=["new", "x"])
    assert reader.read(other)[0][:, 2].tolist() == [0.0, 1.0]
    categories = frame.head(2).assign(g=pd.Categorical(["new", "x"]))
    assert torch.equal(reader.read(categories)[0], reader.read(other)[0])


def test_a_row_with_no_cell_is_masked() -> None:
    frame = table()
    frame.loc["r3", list(NAMES)] = None
    reader = TableColumns.fit(NAMES, frame, owner=OWNER)
    whole = TableColumns.fit(NAMES, frame.drop(index="r3"), owner=OWNER)
    np.testing.assert_allclose(reader.mean, whole.mean)
    block, mask = reader.read(frame)
    assert not mask[3]
    assert mask.sum() == 29
    assert (block[3] == 0).all()
    nothing, absent = reader.read(frame.loc[["r3", "r3"]])
    assert nothing.isfinite().all()
    assert not absent.any()


def test_a_row_that_lacks_some_cells_is_an_error() -> None:
    frame = table()
    frame.loc["r5", "g"] = None
    message = r"tabular\(a, g, b\): row 'r5' lacks the column 'g' but has others \(1 "
    with pytest.raises(DataError, match=message):
        TableColumns.fit(NAMES, frame, owner=OWNER)
    reader = TableColumns.fit(NAMES, table(), owner=OWNER)
    with pytest.raises(DataError, match=message):
        reader.read(frame)


def test_gaps_are_filled_and_marked() -> None:
    frame = table()
    frame.loc[["r5", "r9"], "a"] = np.nan
    frame.loc["r5", "g"] = None
    frame.loc["r7", list(NAMES)] = None
    reader = TableColumns.fit(NAMES, frame, owner=OWNER, missing="mean")
    assert reader.columns == ("a", "b", "a_missing", "g_missing", "g")
    block, mask = reader.read(frame)
    expected = literal(reader, frame, frame.drop(index="r7"))
    expected[7] = [0.0] * 5
    torch.testing.assert_close(block, torch.tensor(expected), atol=1e-5, rtol=1e-5)
    assert mask.sum() == 29
    fresh = table().head(1).assign(b=np.nan)  # no gap at fit: filled, not marked
    assert reader.read(fresh)[0][0, 1:4].tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("missing", ["error", "mean"])
def test_state(tmp_path, missing) -> None:
    frame = table()
    if missing == "mean":
        frame.loc["r2", "b"] = np.nan
    reader = TableColumns.fit(NAMES, frame, owner=OWNER, missing=missing)
    write_state(tmp_path / "model", reader.to_state())
    again = TableColumns.from_state(read_state(tmp_path / "model"))
    assert torch.equal(again.read(frame)[0], reader.read(frame)[0])
    assert again.facts == reader.facts
    assert repr(again) == repr(reader)


def test_bad_tables_are_named() -> None:
    frame = table()
    with pytest.raises(ColumnError, match=r"reads the column 'z'.*\(1 of 2 columns\)"):
        TableColumns.fit(("a", "z"), frame, owner=OWNER)
    with pytest.raises(
        DataError, match=r"'g' of omics\(g\) must be numeric; its dtype"
    ):
        TableColumns.fit(("g",), frame, owner="omics(g)", categories=False)
    reader = TableColumns.fit(NAMES, frame, owner=OWNER)
    with pytest.raises(DataError, match=r"'a' of .* must be numeric"):
        reader.read(frame.assign(a="x"))
    with pytest.raises(DataError, match=r"'b' of .* is infinite in row 'r0'"):
        reader.read(frame.assign(b=np.inf))
    with pytest.raises(DataError, match=r"cannot be a category.*Timestamp"):
        TableColumns.fit(("t",), frame.assign(t=pd.Timestamp(0)), owner=OWNER)
    with pytest.raises(DataError, match="every row of its columns is missing"):
        TableColumns.fit(("a",), frame.assign(a=np.nan), owner=OWNER)
    empty = frame.assign(b=np.nan)
    with pytest.raises(DataError, match="column 'b' has no cell at all"):
        TableColumns.fit(("a", "b"), empty, owner=OWNER, missing="mean")
    with pytest.raises(ParameterError, match=r"'missing' of tabular\(a, g, b\)"):
        TableColumns.fit(NAMES, frame, owner=OWNER, missing="median")
