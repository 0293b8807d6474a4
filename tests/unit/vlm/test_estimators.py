"""The estimators: fit, embed, classify, retrieve, save."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import semistruct as ss
from semistruct.encoders import build_encoder
from semistruct.engine import Training
from semistruct.exceptions import (
    ColumnError,
    DataError,
    ParameterError,
    PersistenceError,
)
from semistruct.vlm import (
    CLIPConfig,
    ConvTower,
    Data2VecImageConfig,
    DualEncoder,
    FlorenceConfig,
    LiTConfig,
    PatchTower,
    SelfSupervised,
    SimCLRConfig,
    TextTower,
    linear_probe,
    load,
    nearest,
    recall_at,
)

SHORT = Training(max_epochs=2, batch_size=16, validation_fraction=0.0)
TOWERS = {"image": ConvTower(8, 4, 1), "text": TextTower(8, 1, 2)}
CLIP = CLIPConfig(**TOWERS, dim=8)


@pytest.fixture(scope="module")
def shapes() -> pd.DataFrame:
    return ss.datasets.make_captioned_shapes(40, size=16)


@pytest.fixture(scope="module")
def pairs(shapes) -> DualEncoder:
    return DualEncoder(config=CLIP, training=SHORT, random_state=0).fit(shapes)


@pytest.fixture(scope="module")
def alone(shapes) -> SelfSupervised:
    config = SimCLRConfig(image=TOWERS["image"])
    model = SelfSupervised(config=config, training=SHORT, random_state=0)
    return model.fit(shapes)


def test_embeddings_have_length_one_and_keep_the_order(pairs, shapes):
    images, texts = pairs.transform(shapes), pairs.embed_texts(shapes)
    for rows in (images, texts):
        assert rows.shape == (40, 8)
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-5)
    some = [7, 3, 11]
    close = {"atol": 1e-5, "rtol": 1e-4}
    np.testing.assert_allclose(
        pairs.transform(shapes.iloc[some]), images[some], **close
    )
    listed = pairs.embed_texts(shapes["caption"].iloc[some].tolist())
    np.testing.assert_allclose(listed, texts[some], **close)
    series = pairs.transform(shapes["image"])
    np.testing.assert_allclose(series, images, **close)


def test_the_same_seed_gives_the_same_model(pairs, shapes):
    state = torch.get_rng_state()
    again = clone(pairs).fit(shapes)
    assert torch.equal(torch.get_rng_state(), state)
    np.testing.assert_array_equal(again.transform(shapes), pairs.transform(shapes))
    other = clone(pairs).set_params(random_state=1).fit(shapes)
    assert not np.allclose(other.transform(shapes), pairs.transform(shapes))


def test_classes_are_means_of_prompts(pairs, shapes):
    prompts, classes = ["one red {}", "two red {}s"], ["circle", "square"]
    scores = pairs.class_scores(shapes, classes, prompts)
    assert scores.columns.tolist() == classes
    assert scores.index.equals(shapes.index)
    for name in classes:
        each = pairs.embed_texts([p.format(name) for p in prompts])
        mean = each.mean(axis=0) / np.linalg.norm(each.mean(axis=0))
        np.testing.assert_allclose(
            scores[name], pairs.transform(shapes) @ mean, atol=1e-5
        )
    predicted = pairs.predict(shapes, classes, prompts)
    assert predicted.tolist() == scores.idxmax(axis=1).tolist()


def test_retrieval_agrees_with_all_inner_products(pairs, shapes):
    images, texts = pairs.transform(shapes), pairs.embed_texts(shapes)
    s = texts @ images.T
    found = pairs.retrieve(shapes, shapes, k=3)
    back = pairs.retrieve_texts(shapes, shapes, k=3)
    for i in range(40):
        assert found[i].tolist() == np.argsort(-s[i], kind="stable")[:3].tolist()
        np.testing.assert_allclose(np.sort(-s[:, i])[:3], -s[back[i], i], rtol=1e-5)


def test_score_is_recall_at_one_both_ways(pairs, shapes):
    recall = pairs.recall(shapes, k=(1, 5))
    assert recall.columns.tolist() == ["R@1", "R@5"]
    assert pairs.score(shapes) == pytest.approx(recall["R@1"].mean())
    s, words = pairs.embed_texts(shapes) @ pairs.transform(shapes).T, shapes["caption"]
    hits = [words[s[:, i].argmax()] == words[i] for i in range(40)]
    assert recall.loc["image to text", "R@1"] == pytest.approx(np.mean(hits))


def test_recall_counts_equal_texts_as_partners():
    rows = np.eye(4)
    gallery = rows[[1, 0, 3, 2]]
    assert recall_at(rows, gallery, ["a", "a", "b", "c"], k=(1, 4)) == {1: 0.5, 4: 1.0}


def test_nearest_beyond_one_chunk():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(1500, 3)), rng.normal(size=(5, 3))
    assert nearest(a, b, 1)[:, 0].tolist() == (a @ b.T).argmax(axis=1).tolist()


def test_a_self_supervised_tower_is_its_transform(alone, shapes):
    features = alone.transform(shapes)
    reader = alone.columns_.readers["image"]
    with torch.no_grad():
        expected = alone.encoder_(reader.read(shapes["image"])[0])
    np.testing.assert_allclose(features, expected, atol=1e-5)
    assert len(alone.history_) == 2
    assert np.isfinite(alone.history_["train_loss"]).all()


def test_texts_alone(shapes):
    model = SelfSupervised("data2vec_text", "caption", training=SHORT, random_state=0)
    assert model.fit(shapes).transform(shapes).shape == (40, 64)


@pytest.mark.parametrize("kind", ["pairs", "alone"])
def test_save_and_load(kind, request, shapes, tmp_path):
    model = request.getfixturevalue(kind)
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    np.testing.assert_array_equal(again.transform(shapes), model.transform(shapes))
    assert again.config == model.config
    assert again.training.get_params() == model.training.get_params()
    pd.testing.assert_frame_equal(again.history_, model.history_)
    if kind == "pairs":
        texts = ["two red circles"]
        np.testing.assert_array_equal(
            again.embed_texts(texts), model.embed_texts(texts)
        )


def test_loading_another_thing_says_so(tmp_path):
    X, y = ss.datasets.make_regression_digits(60)
    ss.SemiStructuredRegressor("age").fit(X, y).save(tmp_path / "other")
    with pytest.raises(PersistenceError, match=r"semistruct\.load"):
        load(tmp_path / "other")


def test_lit_takes_a_tower_over_and_leaves_it(alone, shapes):
    config = LiTConfig(**TOWERS)
    model = DualEncoder(
        "lit", config=config, visual=alone.encoder_, training=SHORT, random_state=0
    ).fit(shapes)
    for key, value in alone.encoder_.state_dict().items():
        assert torch.equal(model.system_.visual.module.state_dict()[key], value)
    other = LiTConfig(image=ConvTower(8, 8, 1), text=TOWERS["text"])
    with pytest.raises(ParameterError, match="'visual'"):
        clone(model).set_params(config=other).fit(shapes)


def test_labels_make_positives(shapes):
    config = FlorenceConfig(**TOWERS)
    table = shapes.assign(group=np.arange(40) % 2)
    fits = [
        DualEncoder(
            "florence", label=label, config=config, training=SHORT, random_state=0
        ).fit(table)
        for label in (None, "group")
    ]
    losses = [model.history_["train_loss"].iloc[0] for model in fits]
    assert losses[0] != losses[1]


def test_null_cells_are_left_out_of_fit_and_refused_later(shapes):
    table = shapes.copy()
    table.loc[3, "caption"] = None
    table["image"] = table["image"].where(np.arange(40) != 5)
    model = DualEncoder(config=CLIP, training=SHORT, random_state=0).fit(table)
    assert np.isfinite(model.transform(shapes)).all()
    with pytest.raises(DataError, match="row 5"):
        model.transform(table)
    with pytest.raises(DataError, match="row 3"):
        model.embed_texts(table)
    with pytest.raises(DataError, match="at least two"):
        DualEncoder(config=CLIP).fit(table.iloc[[0, 3, 5]])


def test_files_are_read_when_needed(shapes, tmp_path):
    paths = []
    for i, cell in enumerate(shapes["image"].iloc[:12]):
        paths.append(str(tmp_path / f"{i}.png"))
        Image.fromarray(cell).save(paths[-1])
    table = pd.DataFrame({"image": paths, "caption": shapes["caption"].iloc[:12]})
    model = DualEncoder(config=CLIP, training=SHORT, random_state=0).fit(table)
    assert model.transform(table).shape == (12, 8)
    memory = DualEncoder(config=CLIP, training=SHORT, random_state=0)
    memory.fit(shapes.iloc[:12])
    np.testing.assert_allclose(
        memory.transform(shapes.iloc[:12]), model.transform(table), atol=1e-4
    )


def test_validation_rows_stop_early(shapes):
    training = Training(max_epochs=3, batch_size=16, validation_fraction=0.25)
    model = DualEncoder(config=CLIP, training=training, random_state=0).fit(shapes)
    assert np.isfinite(model.history_["validation_loss"]).all()


# -- as an encoder of a term -----------------------------------------------------------


def test_a_tower_is_an_encoder_of_a_term():
    X, y = ss.datasets.make_regression_digits(80)
    config = SimCLRConfig(image=TOWERS["image"])
    model = SelfSupervised(
        column="scan", config=config, training=SHORT, random_state=0
    ).fit(X)
    before = {k: v.clone() for k, v in model.encoder_.state_dict().items()}
    regressor = ss.SemiStructuredRegressor(
        "age + image(scan)",
        encoders={"scan": model.encoder_},
        training=ss.Training(max_epochs=2, patience=None),
        random_state=0,
    ).fit(X, y)
    assert np.isfinite(regressor.predict(X)).all()
    for key, value in model.encoder_.state_dict().items():
        assert torch.equal(value, before[key])  # a copy was trained


def test_a_text_tower_is_an_encoder_of_a_module(pairs):
    facts = pairs.columns_.readers["text"].facts
    length = pairs.columns_.facts.length
    module, q = build_encoder(pairs.system_.textual, (length,), facts=facts)
    assert q == 8
    assert module(torch.ones(3, length, dtype=torch.int64)).shape == (3, 8)


# -- the probe -------------------------------------------------------------------------


def test_probe_counts_what_it_predicts():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 30)
    x = rng.normal(size=(60, 3)) + 4 * y[:, None]
    assert linear_probe(x, y, x, y).tolist() == [1.0]
    found = linear_probe(x, y, x, y, per_class=1, draws=5)
    assert found.shape == (5,)
    assert found.mean() > 0.8
    noise = linear_probe(rng.normal(size=(60, 3)), y, x, y, per_class=5, draws=20)
    assert noise.mean() < 0.8
    scaled = linear_probe(1e6 * x + 3, y, 1e6 * x + 3, y, per_class=1, draws=5)
    np.testing.assert_array_equal(scaled, found)


def test_probe_takes_a_constant_feature():
    x = np.column_stack([np.arange(6.0), np.full(6, 0.1)])
    assert linear_probe(x, [0, 0, 0, 1, 1, 1], x, [0, 0, 0, 1, 1, 1]).item() == 1.0


# -- errors ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "parameter"),
    [
        ({"system": "clop"}, "system"),
        ({"system": "mae"}, "system"),
        ({"config": object()}, "config"),
        ({"config": CLIPConfig(temperature=0.0)}, "temperature"),
        ({"training": 3}, "training"),
        ({"visual": 3}, "visual"),
        ({"label": "caption"}, "label"),
        ({"progress": 1}, "progress"),
    ],
)
def test_bad_parameters_are_named(options, parameter, shapes):
    with pytest.raises(ParameterError, match=f"'{parameter}'"):
        DualEncoder(**{"training": SHORT, "config": CLIP, **options}).fit(shapes)


def test_self_supervised_refuses_pairs_and_wrong_tops(shapes):
    with pytest.raises(ParameterError, match="DualEncoder"):
        SelfSupervised("clip").fit(shapes)
    config = Data2VecImageConfig(image=PatchTower(8, 2, 2, 4), top=9)
    with pytest.raises(ParameterError, match="'top'"):
        SelfSupervised("data2vec", config=config).fit(shapes)


def test_bad_input_is_named(pairs, shapes):
    with pytest.raises(ColumnError, match="Did you mean 'imag'"):
        pairs.transform(shapes.rename(columns={"image": "imag"}))
    with pytest.raises(DataError, match="DataFrame"):
        pairs.transform(np.zeros((3, 16, 16, 3)))
    with pytest.raises(ParameterError, match="'prompts'"):
        pairs.predict(shapes, ["circle"], ["no place"])
    with pytest.raises(ParameterError, match="'classes'"):
        pairs.predict(shapes, [])
    with pytest.raises(ParameterError, match="'k'"):
        pairs.retrieve(["red"], shapes, k=41)
    with pytest.raises(NotFittedError):
        DualEncoder().transform(shapes)
    with pytest.raises(DataError, match="per_class"):
        linear_probe(np.eye(2), [0, 1], np.eye(2), [0, 1], per_class=2)
    with pytest.raises(DataError, match="NaN"):
        linear_probe(np.full((2, 1), np.nan), [0, 1], np.eye(2), [0, 1])
