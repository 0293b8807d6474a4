"""join_modalities against pandas' own merge, its report and its errors."""

from __future__ import annotations

import json
import logging

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from semistruct.data import TensorArray, join_modalities
from semistruct.exceptions import ColumnError, DataError, ParameterError


@pytest.fixture
def table():
    frame = pd.DataFrame({"patient": ["a", "b", "c", "d"], "age": [1.0, 2.0, 3.0, 4.0]})
    return frame.set_axis([7, 3, 5, 1], axis=0)


@pytest.fixture
def images():
    return {k: np.full((4, 4), i, np.uint8) for i, k in enumerate("dxb")}


@pytest.fixture
def omics():
    return pd.DataFrame(
        {"gene1": [10, 20, 30], "gene2": [0.1, 0.2, 0.3], "mut": [True, False, True]},
        index=pd.Index(["c", "b", "y"]),
    )


def means(frame):
    return [None if cell is pd.NA else cell.mean() for cell in frame["image"]]


def test_left(table, images, omics):
    before = table.copy()
    found = join_modalities(table, images=images, omics=omics, on="patient")
    assert found.index.tolist() == [7, 3, 5, 1]
    assert found["image"].dtype == "tensor[uint8, (4, 4)]"
    assert means(found) == [None, 2, None, 0]
    expected = table.merge(
        omics.astype(float), left_on="patient", right_index=True, how="left"
    )
    for name in omics:
        np.testing.assert_array_equal(found[name], expected.loc[found.index, name])
    pd.testing.assert_frame_equal(table, before)


def test_inner_and_outer(table, images, omics):
    inner = join_modalities(
        table, images=images, omics=omics, on="patient", how="inner"
    )
    assert inner["patient"].tolist() == ["b"]
    assert inner["gene1"].tolist() == [20]
    assert inner["gene1"].dtype == np.int64
    assert inner["mut"].dtype == bool
    outer = join_modalities(
        table, images=images, omics=omics, on="patient", how="outer"
    )
    assert outer["patient"].tolist() == list("abcdxy")
    assert means(outer) == [None, 2, None, 0, 1, None]
    assert outer["age"].isna().tolist() == [0, 0, 0, 0, 1, 1]
    assert outer["gene1"].dropna().to_dict() == {1: 20, 2: 10, 5: 30}


def test_row_order_of_sources_does_not_matter(table, images, omics):
    first = join_modalities(table, images=images, omics=omics, on="patient")
    second = join_modalities(
        table, images=dict(reversed(images.items())), omics=omics[::-1], on="patient"
    )
    pd.testing.assert_frame_equal(first, second)


def test_report_and_log(table, images, omics, caplog):
    with caplog.at_level(logging.INFO, logger="semistruct"):
        found = join_modalities(table, images=images, omics=omics, on="patient")
    report = found.attrs["join_report"]
    assert json.loads(json.dumps(report)) == report
    assert report == {
        "on": "patient",
        "how": "left",
        "rows": 4,
        "images": {
            "given": 3,
            "matched": 2,
            "without": {"count": 2, "ids": ["a", "c"]},
            "unused": {"count": 1, "ids": ["x"]},
        },
        "omics": {
            "given": 3,
            "matched": 2,
            "without": {"count": 2, "ids": ["a", "d"]},
            "unused": {"count": 1, "ids": ["y"]},
        },
    }
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert "2 of 3 IDs of images matched" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="semistruct"):
        join_modalities(
            table, omics=omics.set_axis(list("abc")), on="patient", how="inner"
        )
        whole = table.set_index("patient").rename(columns={"age": "gene"})
        join_modalities(table, omics=whole, on="patient")
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_long_reports_are_cut():
    table = pd.DataFrame({"id": range(1000)})
    omics = pd.DataFrame({"g": [1.0]}, index=[5])
    report = join_modalities(table, omics=omics, on="id").attrs["join_report"]
    assert report["omics"]["without"]["count"] == 999
    assert len(report["omics"]["without"]["ids"]) == 20
    assert json.dumps(report)


def test_kinds_of_images(table, images):
    reference = join_modalities(table, images=images, on="patient")
    as_series = pd.Series(images)
    block = TensorArray(np.stack(list(images.values())))
    as_frame = pd.DataFrame({"patient": list(images), "scan": block})
    wide = as_frame.assign(image=block, note="x").drop(columns="scan")
    for given in (as_series, as_frame, as_frame.set_index("patient"), wide):
        found = join_modalities(table, images=given, on="patient")
        pd.testing.assert_frame_equal(found, reference)
    named = join_modalities(table, images=images, on="patient", image_column="ct")
    assert named.columns.tolist() == ["patient", "age", "ct"]


def test_paths_and_shapes_that_differ_stay_objects(table):
    paths = join_modalities(table, images={"a": "a.png"}, on="patient")
    assert paths["image"].dtype == object
    assert paths["image"].iloc[0] == "a.png"
    assert paths["image"].iloc[1:].isna().all()
    ragged = {"a": np.ones((2, 2)), "b": np.ones((3, 3)), "c": None}
    found = join_modalities(table, images=ragged, on="patient")
    assert found["image"].dtype == object
    assert found["image"].iloc[1].shape == (3, 3)


@pytest.mark.parametrize("numbers", [True, False])
def test_folder(tmp_path, numbers, table):
    ids = [11, 12, 13] if numbers else ["a.1", "b", "c"]
    frame = pd.DataFrame({"patient": ids})
    for name in (ids[0], ids[2], "other"):
        Image.new("L", (3, 3)).save(tmp_path / f"{name}.png")
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / ".hidden.png").write_text("no image")
    found = join_modalities(frame, images=tmp_path, on="patient")
    assert found["patient"].tolist() == ids
    assert found["image"].iloc[0] == str(tmp_path / f"{ids[0]}.png")
    assert found["image"].isna().tolist() == [False, True, False]
    assert found.attrs["join_report"]["images"]["unused"]["ids"] == ["other"]
    outer = join_modalities(frame, images=str(tmp_path), on="patient", how="outer")
    assert outer["patient"].tolist() == [*ids, "other"]
    assert outer["image"].isna().tolist() == [False, True, False, False]


class TestErrors:
    def test_duplicates(self, table, images, omics):
        twice = pd.concat([table, table.iloc[[1, 3]]])
        with pytest.raises(DataError, match=r"table holds 2 IDs more.*'b', 'd'"):
            join_modalities(twice, images=images, on="patient")
        with pytest.raises(DataError, match="omics holds 1 IDs more than once: 'c'"):
            join_modalities(table, omics=omics.set_axis(["c", "c", "b"]), on="patient")
        with pytest.raises(DataError, match="images holds 1 IDs more than once: 'b'"):
            join_modalities(
                table, images=pd.Series(["p", "q"], ["b", "b"]), on="patient"
            )

    def test_two_files_of_one_id(self, tmp_path, table):
        for name in ("a.png", "a.jpg"):
            Image.new("L", (3, 3)).save(tmp_path / name)
        with pytest.raises(DataError, match="images holds 1 IDs more than once: 'a'"):
            join_modalities(table, images=tmp_path, on="patient")

    def test_missing_ids(self, table, images, omics):
        table.iloc[2, 0] = None
        with pytest.raises(DataError, match=r"1 rows without an ID.*position 2"):
            join_modalities(table, images=images, on="patient")

    def test_columns(self, table, images, omics):
        with pytest.raises(ColumnError, match=r"no column 'pateint'.*'patient'"):
            join_modalities(table, images=images, on="pateint")
        with pytest.raises(DataError, match="'age' of images are there already"):
            join_modalities(table, images=images, on="patient", image_column="age")
        with pytest.raises(DataError, match="'age' of omics are there already"):
            join_modalities(
                table, omics=omics.rename(columns={"mut": "age"}), on="patient"
            )
        two = pd.DataFrame({"patient": ["a"], "img": ["p"], "note": ["x"]})
        with pytest.raises(ColumnError, match="no column 'image' and 2 others"):
            join_modalities(table, images=two, on="patient")

    def test_ids_of_other_types(self, table):
        with pytest.raises(DataError, match=r"table's are str.*omics are int"):
            join_modalities(table, omics=pd.DataFrame({"g": [1.0]}, [1]), on="patient")

    def test_kinds(self, table, images, tmp_path):
        with pytest.raises(ParameterError, match="'how'"):
            join_modalities(table, images=images, on="patient", how="right")
        with pytest.raises(ParameterError, match="'images'"):
            join_modalities(table, images=[1, 2], on="patient")
        with pytest.raises(DataError, match="omics must be a DataFrame"):
            join_modalities(table, omics={"a": 1}, on="patient")
        with pytest.raises(DataError, match="table must be a DataFrame"):
            join_modalities({"patient": [1]}, images=images, on="patient")
        with pytest.raises(DataError, match="not a folder"):
            join_modalities(table, images=tmp_path / "none", on="patient")
        with pytest.raises(DataError, match="holds no image"):
            join_modalities(table, images=tmp_path, on="patient")
