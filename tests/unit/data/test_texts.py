from __future__ import annotations

import os
import pickle
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers

from semistruct._core.persistence import read_state, write_state
from semistruct.data import TextColumn
from semistruct.exceptions import DataError, DependencyError, ParameterError

OWNER = "text(note)"
WORDS = ["pain", "Fever", "night", "cough", "chest,", "left-sided", "no", "mild"]


def notes(n: int = 200, seed: int = 0) -> pd.Series:
    rng = np.random.default_rng(seed)
    texts = [" ".join(rng.choice(WORDS, rng.integers(1, 9))) for _ in range(n)]
    return pd.Series(texts, name="note", index=np.arange(n) + 1000)


def series(*cells: object) -> pd.Series:
    return pd.Series(list(cells), name="note", dtype=object)


def decoded(reader: TextColumn, ids: torch.Tensor) -> list[str]:
    vocabulary = {
        i: t for t, i in Tokenizer.from_str(reader.tokenizer).get_vocab().items()
    }
    return [vocabulary[i] for i in ids.tolist()]


def test_ids_are_those_of_the_words() -> None:
    reader = TextColumn.fit(notes(), owner=OWNER, max_length=6)
    ids, mask = reader.read(series("fever  at\nnight", "PAIN,"))
    assert ids.dtype == torch.int64
    assert ids.shape == (2, 6)
    assert mask.tolist() == [True, True]
    first = decoded(reader, ids[0])
    assert first[:2] == ["[CLS]", "▁fever"]
    assert decoded(reader, ids[1]) == ["[CLS]", "▁pain", ",", *3 * ["[PAD]"]]


def test_null_is_masked_and_empty_is_there() -> None:
    reader = TextColumn.fit(notes(), owner=OWNER)
    ids, mask = reader.read(series("", None, float("nan"), pd.NA, "pain"))
    assert mask.tolist() == [True, False, False, False, True]
    assert ids[0, 0] == 2
    assert (ids[0, 1:] == 0).all()
    assert (ids[1:4] == 0).all()
    nothing, absent = reader.read(series(None, None))
    assert nothing.shape == (2, reader.length)
    assert not absent.any()


def test_rows_and_order_do_not_matter() -> None:
    column = notes()
    reader = TextColumn.fit(column, owner=OWNER)
    whole, _ = reader.read(column)
    few, _ = reader.read(column, rows=[7, 3])
    assert torch.equal(few, whole[[7, 3]])
    shuffled = TextColumn.fit(column.sample(frac=1, random_state=0), owner=OWNER)
    assert torch.equal(shuffled.read(column)[0], whole)


def test_training_gives_the_same_tokenizer_each_time() -> None:
    # each run has hash maps with a seed of its own, on which WordPiece depends
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("abcdefgh"), 5)) for _ in range(300)]
    texts = pd.Series([" ".join(rng.choice(words, 6)) for _ in range(200)], name="note")
    states = [
        TextColumn.fit(texts, owner=OWNER, vocabulary=200).to_state() for _ in range(4)
    ]
    assert all(state == states[0] for state in states)
    assert states[0]["vocabulary"] == 200


def test_the_length_is_a_quantile_of_the_training_rows() -> None:
    column = series(*["pain"] * 90, *["pain night"] * 8, *["pain " * 50] * 2)
    reader = TextColumn.fit(column, owner=OWNER)
    assert reader.length == 3  # [CLS] and two words: at least 95 of 100 rows
    assert reader.truncated == pytest.approx(0.02)
    ids, _ = reader.read(series("pain night pain", "pain night"))
    assert torch.equal(ids[0], ids[1])  # the end is cut off
    assert TextColumn.fit(column, owner=OWNER, max_length=40).length == 40
    long = series(*["pain " * 900] * 3)
    assert TextColumn.fit(long, owner=OWNER).length == 512


def test_options() -> None:
    column = notes()
    small = TextColumn.fit(column, owner=OWNER, vocabulary=40)
    assert small.vocabulary <= 40
    cased = TextColumn.fit(column, owner=OWNER, lower=False, max_length=8)
    ids, _ = cased.read(series("Fever", "fever"))
    assert not torch.equal(ids[0], ids[1])
    assert small.facts == {"vocabulary": small.vocabulary, "pad_id": 0}
    assert repr(small).startswith("TextColumn('note', vocabulary=")


def test_special_tokens_in_a_text_are_text() -> None:
    reader = TextColumn.fit(notes(), owner=OWNER, max_length=12)
    ids, _ = reader.read(series("pain [PAD] [CLS] night"))
    length = int((ids[0] != 0).sum())
    assert (ids[0, :length] != 0).all()
    assert (ids[0, 1:] != 2).all()


def test_texts_without_a_known_token_are_counted() -> None:
    reader = TextColumn.fit(notes(), owner=OWNER)
    odd = pd.Series(["痛み", "pain", "热 咳", ""], index=list("abcd"), name="note")
    message = r"text\(note\): no token of the column 'note' is known in 2 rows.*'a'"
    with pytest.warns(UserWarning, match=message):
        ids, mask = reader.read(odd)
    assert mask.all()
    assert (ids[0] == reader.unk_id).sum() == 2
    reader.read(series("pain 痛み", ""))  # no warning


def test_state_and_pickle(tmp_path) -> None:
    reader = TextColumn.fit(notes(), owner=OWNER)
    write_state(tmp_path / "model", {"text": reader.to_state()})
    again = TextColumn.from_state(read_state(tmp_path / "model")["text"])
    other = pickle.loads(pickle.dumps(reader))
    for read in (again, other):
        assert torch.equal(read.read(notes(20, 1))[0], reader.read(notes(20, 1))[0])
        assert read.to_state() == reader.to_state()


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        (5, r"row 1: a cell is a text or null, and this one is a int \(5\)"),
        (b"pain", "is a bytes"),
        (["pain"], "is a list"),
        ("\ud800", "is a str"),
    ],
)
def test_a_cell_that_is_no_text_is_named(cell, words) -> None:
    with pytest.raises(DataError, match=words):
        TextColumn.fit(series("pain", cell), owner=OWNER)
    reader = TextColumn.fit(notes(), owner=OWNER)
    with pytest.raises(DataError, match=words):
        reader.read(series("pain", cell))


@pytest.mark.parametrize("cells", [(None, None), ("", " \n"), (None, "")])
def test_a_column_without_text_is_refused(cells) -> None:
    with pytest.raises(DataError, match=r"text\(note\): column 'note' has no text"):
        TextColumn.fit(series(*cells), owner=OWNER)


@pytest.mark.parametrize(
    ("options", "parameter"),
    [
        ({"vocabulary": 3}, "vocabulary"),
        ({"lower": 1}, "lower"),
        ({"max_length": 1}, "max_length"),
        ({"tokenizer": "bert"}, "tokenizer"),
    ],
)
def test_bad_options_are_named(options, parameter) -> None:
    with pytest.raises(ParameterError, match=rf"'{parameter}' of text\(note\)"):
        TextColumn.fit(notes(), owner=OWNER, **options)


def word_level(**vocabulary: int) -> Tokenizer:
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="unk"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return made


def test_a_tokenizer_that_is_there_already() -> None:
    own = word_level(pain=0, night=1, unk=2, fill=3)
    own.enable_padding(pad_id=3, pad_token="fill")
    reader = TextColumn.fit(series("pain", "night pain"), owner=OWNER, tokenizer=own)
    assert (reader.pad_id, reader.unk_id, reader.vocabulary) == (3, 2, 4)
    ids, _ = reader.read(series("night", None, "pain pain pain"))
    assert ids.tolist() == [[1, 3], [3, 3], [0, 0]]
    assert own.padding["length"] is None  # it was copied
    with pytest.warns(UserWarning, match="in 1 row, the first"):
        reader.read(series("fever"))
    with pytest.raises(ParameterError, match="a token for padding"):
        TextColumn.fit(series("pain"), owner=OWNER, tokenizer=word_level(unk=0))


def test_the_environment_is_as_it_was(monkeypatch) -> None:
    name = "TOKENIZERS_PARALLELISM"
    monkeypatch.delenv(name, raising=False)
    TextColumn.fit(notes(), owner=OWNER)
    assert name not in os.environ
    monkeypatch.setenv(name, "true")
    TextColumn.fit(notes(), owner=OWNER)
    assert os.environ[name] == "true"


def test_a_missing_package_is_named(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(DependencyError, match=r"pip install 'semistruct\[text\]'"):
        TextColumn.fit(notes(), owner=OWNER)
