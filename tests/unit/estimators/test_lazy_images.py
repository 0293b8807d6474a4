"""Images that are read from files when they are needed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import semistruct as ss
from semistruct.engine import DatasetSource, TensorSource
from semistruct.estimators import _deep_stage
from semistruct.exceptions import ImageError


@pytest.fixture
def files(regression, tmp_path):
    """The same scans as PNG files; two of them missing."""
    X = regression.X.copy()
    absent = X.index[[5, 60]]
    X["scan"] = X["scan"].where(~X.index.isin(absent))
    paths = [
        None if pd.isna(v) is True else str(tmp_path / f"{i}.png")
        for i, v in enumerate(X["scan"].array)
    ]
    for path, scan in zip(paths, X["scan"].array, strict=True):
        if path is not None:
            Image.fromarray(scan).save(path)
    return X, X.assign(scan=pd.Series(paths, index=X.index, dtype=object))


@pytest.fixture
def sources(monkeypatch):
    seen = []
    original = _deep_stage.train

    def train(objective, source, validation=None, **options):
        seen.append(type(source))
        return original(objective, source, validation, **options)

    monkeypatch.setattr(_deep_stage, "train", train)
    return seen


@pytest.mark.parametrize("num_workers", [0, 1])
def test_files_are_fitted_as_arrays_are(regression, files, sources, num_workers):
    in_memory, paths = files
    training = ss.Training(max_epochs=3, learning_rate=5e-3, num_workers=num_workers)
    one = regression.make(training=training).fit(in_memory, regression.y)
    two = regression.make(training=training).fit(paths, regression.y)
    assert sources == [TensorSource, DatasetSource]
    np.testing.assert_allclose(
        two.history_["validation_loss"], one.history_["validation_loss"], rtol=1e-5
    )
    np.testing.assert_allclose(two.coef_, one.coef_, rtol=1e-4, atol=1e-6)
    expected = one.predict(in_memory)
    np.testing.assert_allclose(two.predict(paths), expected, atol=1e-4)
    assert np.abs(one.predict_terms(in_memory)["image(scan)"]).max() > 0.05
    # a file, an array and a PIL image of the same scan are the same row
    first = paths.head(1)
    for cell in (Image.open(first["scan"].iloc[0]), first["scan"].iloc[0]):
        row = first.assign(scan=pd.Series([cell], dtype=object))
        np.testing.assert_allclose(two.predict(row), expected[:1], atol=1e-4)
    terms = two.predict_terms(paths)["image(scan)"]
    assert (terms.iloc[[5, 60]] == 0).all()
    assert (terms.drop(paths.index[[5, 60]]) != 0).all()


def test_a_file_that_is_gone_or_broken_names_its_row(regression, files, tmp_path):
    _, paths = files
    gone = paths.copy()
    gone.loc[gone.index[3], "scan"] = str(tmp_path / "nowhere.png")
    with pytest.raises(ImageError, match=r"image\(scan\).*row 3: there is no file"):
        regression.make().fit(gone, regression.y)
    (tmp_path / "broken.png").write_text("no image")
    broken = paths.copy()
    broken.loc[broken.index[8], "scan"] = str(tmp_path / "broken.png")
    with pytest.raises(ImageError, match=r"row 8: .*broken.png' cannot be read"):
        regression.make().fit(broken, regression.y)
    model = regression.make().fit(paths, regression.y)
    with pytest.raises(ImageError, match=r"row 8: .*broken.png' cannot be read"):
        model.predict(broken)
    whole = (tmp_path / "0.png").read_bytes()  # cut off after its header was read
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    cut = paths.copy()
    cut.loc[cut.index[9], "scan"] = str(tmp_path / "cut.png")
    with pytest.raises(ImageError, match=r"row 9: .*cut.png' cannot be read"):
        model.predict(cut)


def test_images_of_different_sizes_need_a_size(regression, files, tmp_path):
    _, paths = files
    Image.new("L", (10, 12), 99).save(tmp_path / "large.png")
    mixed = paths.copy()
    mixed.loc[mixed.index[4], "scan"] = str(tmp_path / "large.png")
    with pytest.raises(ImageError, match=r"different sizes.*row 0 and 12×10 in row 4"):
        regression.make().fit(mixed, regression.y)
    model = regression.make("age + image(scan, size=8)").fit(mixed, regression.y)
    assert np.isfinite(model.predict(mixed)).all()
    strict = regression.make().fit(paths, regression.y)
    with pytest.raises(ImageError, match=r"row 4: .*12×10 where 8×8 was"):
        strict.predict(mixed)


@pytest.mark.parametrize("read", ["array", "pil"])
def test_cells_may_be_arrays_or_pil_images(case, read):
    block = case.X["scan"].array.block
    cells = [row if read == "array" else Image.fromarray(row) for row in block]
    X = case.X.assign(scan=pd.Series(cells, index=case.X.index, dtype=object))
    one = case.make().fit(case.X, case.y)
    two = case.make().fit(X, case.y)
    np.testing.assert_allclose(two.coef_, one.coef_, rtol=1e-4, atol=1e-6)
