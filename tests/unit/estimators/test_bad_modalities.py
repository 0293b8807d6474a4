"""Modalities that are missing, broken, unknown or of another kind: named, or masked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import semistruct as ss
from semistruct.exceptions import DataError, ImageError, TrainingError

FUSED = "x + fuse(image(scan), omics('g*'))"
ONE = ss.Training(max_epochs=1, validation_fraction=0.0)
SMALL = {"scan": ss.CNN(width=2, depth=1, output_dim=2)}


def fit(terms, X, training=ONE, **options):
    options = {"encoders": SMALL, "random_state": 0, **options}
    model = ss.SemiStructuredRegressor(terms, training=training, **options)
    return model.fit(X, X["x"] + X["g1"].fillna(0.0))


def table(n: int = 40) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(n, 3)), columns=["x", "g1", "g2"])
    return X.assign(scan=ss.TensorArray(rng.normal(size=(n, 4, 4))))


def absent(n: int = 40) -> ss.TensorArray:
    return ss.TensorArray(np.zeros((n, 4, 4)), np.zeros(n, dtype=bool))


@pytest.fixture
def files(tmp_path) -> pd.DataFrame:
    """More rows than the mean of the pixels is estimated from (512)."""
    rng = np.random.default_rng(1)
    paths = []
    for i in range(600):
        paths.append(str(tmp_path / f"{i}.png"))
        pixels = rng.integers(0, 256, (8, 8), dtype=np.uint8)
        Image.fromarray(pixels).save(paths[-1])
    X = table(600).drop(columns="scan")
    return X.assign(scan=paths)


# -- missing --------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::semistruct.exceptions.InferenceWarning")
def test_a_row_without_any_modality_has_the_structured_part_alone():
    X = table()
    X.loc[3, ["g1", "g2"]] = np.nan
    X["scan"] = X["scan"].where(X.index != 3)
    model = fit(FUSED, X)
    terms = model.predict_terms(X)
    assert terms["fuse(image(scan), omics(g*))"][3] == 0
    assert (terms["fuse(image(scan), omics(g*))"].drop(3) != 0).all()
    alone = model.predict(X[["x"]].iloc[[3]])
    np.testing.assert_allclose(model.predict(X.iloc[[3]]), alone, rtol=1e-12)


@pytest.mark.parametrize(
    ("lacking", "error", "words"),
    [
        ({"scan": absent()}, ImageError, r"image\(scan\): column 'scan' has no image"),
        ({"g1": np.nan, "g2": np.nan}, DataError, r"omics\(g\*\).*every row of its"),
    ],
)
def test_a_fused_modality_that_training_never_saw(lacking, error, words):
    with pytest.raises(error, match=words):
        fit(FUSED, table().assign(**lacking))


# -- broken ---------------------------------------------------------------------------


def cut(path: str) -> None:
    """Leave the header, take the pixels."""
    whole = Path(path).read_bytes()
    Path(path).write_bytes(whole[: len(whole) - 40])


@pytest.mark.filterwarnings("ignore::semistruct.exceptions.InferenceWarning")
def test_a_file_whose_pixels_break_off_in_the_middle_of_an_epoch(files):
    sample = np.linspace(0, 599, 512).round().astype(int)
    row = next(i for i in range(300, 600) if i not in sample)  # seen by no estimate
    cut(files["scan"][row])
    words = rf"image\(scan\): column 'scan', row {row}: .*{row}\.png' cannot be read"
    with pytest.raises(ImageError, match=words):
        fit("x + image(scan)", files)
    masking = ss.Training(
        max_epochs=1, validation_fraction=0.0, on_unreadable="mask", batch_size=200
    )
    with pytest.warns(UserWarning, match=rf"1 rows could not be read.*row {row}:"):
        model = fit("x + image(scan)", files, masking)
    with pytest.warns(UserWarning, match=rf"row {row}:"):
        terms = model.predict_terms(files)["image(scan)"]
    assert terms[row] == 0
    assert (terms.drop(row) != 0).all()


# -- of another kind ------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::semistruct.exceptions.InferenceWarning")
def test_images_with_alpha_and_of_16_bits(files, tmp_path):
    X = files.head(40).copy()
    model = fit("x + image(scan)", X)
    gray = np.array(Image.open(X["scan"][5]))
    clear = np.dstack([gray, np.full_like(gray, 255)])
    Image.fromarray(clear).save(tmp_path / "alpha.png")
    Image.fromarray(gray.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    expected = model.predict(X.iloc[[5]])
    alpha = X.iloc[[5]].assign(scan=str(tmp_path / "alpha.png"))
    np.testing.assert_allclose(model.predict(alpha), expected, rtol=1e-6)
    deep = X.iloc[[5]].assign(scan=str(tmp_path / "deep.png"))
    with pytest.raises(ImageError, match=r"row 5: the number type is 'uint16' where"):
        model.predict(deep)
    mixed = X.assign(scan=X["scan"].where(X.index != 7, str(tmp_path / "deep.png")))
    with pytest.raises(ImageError, match=r"number type: 'uint8' in row 0.*in row 7"):
        fit("x + image(scan)", mixed)


@pytest.mark.filterwarnings("ignore::semistruct.exceptions.InferenceWarning")
def test_a_text_of_words_that_training_never_saw():
    words = np.array(["pain", "fever", "cough", "none"])
    X = table().assign(note=words[np.arange(40) % 4])
    model = fit("x + text(note)", X, encoders={})
    new = X.head(3).assign(note=["痛み", "pain", "热"])
    with pytest.warns(UserWarning, match=r"'note' is known in 2 rows.*row 0"):
        found = model.predict(new)
    assert np.isfinite(found).all()


# -- not finite -----------------------------------------------------------------------


def test_a_loss_that_is_not_finite_says_where_and_what_to_do():
    training = ss.Training(
        max_epochs=3, learning_rate=1e30, clip_norm=None, validation_fraction=0.0
    )
    words = r"in epoch \d.*weights of epoch \d were restored.*smaller learning_rate"
    with pytest.raises(TrainingError, match=words):
        fit(FUSED, table(), training)
