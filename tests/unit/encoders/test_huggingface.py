"""The encoder of foreign text models, on a tiny model with random weights."""

from __future__ import annotations

import importlib
import sys

import pandas as pd
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import nn

from semistruct._core.torchvision import import_torchvision
from semistruct.data import TextColumn
from semistruct.encoders import (
    HuggingFace,
    build_encoder,
    encoder_from_state,
    encoder_to_state,
    untrained,
)
from semistruct.exceptions import DependencyError, ParameterError

import_torchvision("the tests")
transformers = importlib.import_module("transformers")  # after the line above

WORDS = ["[PAD]", "[UNK]", "no", "pain", "at", "night"]


@pytest.fixture(scope="module")
def model() -> nn.Module:
    config = transformers.BertConfig(
        vocab_size=len(WORDS),
        hidden_size=8,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=12,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return transformers.BertModel(config)


@pytest.fixture(scope="module")
def tokenizer():
    vocabulary = {word: i for i, word in enumerate(WORDS)}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="[PAD]",
        unk_token="[UNK]",
        model_max_length=12,
    )


@pytest.fixture
def ids() -> torch.Tensor:
    return torch.tensor([[2, 3, 0, 0], [3, 4, 5, 0], [5, 0, 0, 0]])


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_it_gives_the_models_states(model, ids, pooling) -> None:
    encoder = HuggingFace(model, pooling=pooling)
    module = encoder.build((4,)).eval()
    model.eval()
    with torch.no_grad():
        for row in ids:  # one by one and without padding
            words = row[row != 0][None]
            states = model(input_ids=words).last_hidden_state[0]
            expected = states.mean(dim=0) if pooling == "mean" else states[0]
            torch.testing.assert_close(
                module.features(row[None])[0], expected, atol=1e-5, rtol=1e-5
            )
        assert module(torch.zeros(2, 4)).isfinite().all()


def test_the_model_is_copied(model, ids) -> None:
    before = {key: value.clone() for key, value in model.state_dict().items()}
    module = HuggingFace(model).build((4,))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(1.0)
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key])


def trained(module: nn.Module) -> set[str]:
    names = [k for k, p in module.model.named_parameters() if p.requires_grad]
    return {".".join(name.split(".")[:3]) for name in names}


def test_what_is_frozen(model, ids) -> None:
    assert trained(HuggingFace(model, freeze="all").build((4,))) == set()
    last = trained(HuggingFace(model, freeze=2).build((4,)))
    assert last == {"encoder.layer.2"}
    every = trained(HuggingFace(model).build((4,)))
    assert {f"encoder.layer.{i}" for i in range(3)} < every
    assert not any(name.startswith("pooler") for name in every)
    module = HuggingFace(model, freeze="all", dropout=0.0).build((4,)).train()
    assert torch.equal(module(ids), module(ids))  # no dropout inside
    assert HuggingFace(model, freeze=3).build((4,)).frozen


def test_padding_is_that_of_the_column(model) -> None:
    module, q = build_encoder(HuggingFace(model), (4,), facts={"pad_id": 5})
    assert module.pad_id == 5
    assert q == 16
    assert HuggingFace(model).build((4,)).pad_id == 0


def test_a_column_is_read_by_the_models_tokenizer(model, tokenizer) -> None:
    encoder = HuggingFace(model, tokenizer=tokenizer)
    column = pd.Series(["no pain", "pain at night", None], name="note")
    reader = TextColumn.fit(
        column, owner="text(note)", tokenizer=encoder.load_tokenizer()
    )
    assert reader.read(column)[0].tolist() == [[2, 3, 0], [3, 4, 5], [0, 0, 0]]
    assert (reader.unk_id, reader.vocabulary) == (1, 6)
    module, _ = build_encoder(encoder, reader.shape, facts=reader.facts)
    assert module.pad_id == 0
    long = pd.Series(["pain " * 50], name="note")
    reader = TextColumn.fit(long, owner="text(note)", tokenizer=tokenizer)
    assert reader.length == 12  # what the model takes


def test_a_folder_is_a_name(model, tokenizer, tmp_path, ids) -> None:
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    encoder = HuggingFace(str(tmp_path))
    model.eval()
    module = encoder.build((4,)).eval()
    expected = HuggingFace(model).build((4,)).eval()
    torch.testing.assert_close(module.features(ids), expected.features(ids))
    assert encoder.load_tokenizer().backend_tokenizer.token_to_id("pain") == 3
    again = encoder_from_state(encoder_to_state(encoder))
    assert again.model == str(tmp_path)
    bare = untrained(again)  # loading a saved model fills the weights in
    assert bare.weights is None
    empty = bare.build((4,)).eval()
    assert not torch.allclose(empty.features(ids), module.features(ids))
    empty.load_state_dict(module.state_dict())
    assert torch.equal(empty(ids), module(ids))


def test_a_model_object_is_code(model) -> None:
    assert encoder_to_state(HuggingFace(model)) is None
    bare = HuggingFace(model, weights=None).build((4,))
    assert bare.model.config.hidden_size == 8


@pytest.mark.parametrize(
    ("options", "parameter"),
    [
        ({"pooling": "max"}, "pooling"),
        ({"freeze": 4}, "freeze"),
        ({"freeze": "first"}, "freeze"),
        ({"freeze": True}, "freeze"),
        ({"weights": "mine"}, "weights"),
        ({"dropout": 1.0}, "dropout"),
        ({"model": nn.Linear(2, 2)}, "model"),
        ({"model": None}, "model"),
    ],
)
def test_bad_parameters_are_named(model, options, parameter) -> None:
    with pytest.raises(ParameterError, match=f"'{parameter}' of HuggingFace"):
        HuggingFace(**{"model": model, **options}).build((4,))


def test_what_cannot_be_loaded_is_named(model, tmp_path) -> None:
    empty = str(tmp_path)
    with pytest.raises(ParameterError, match=r"'model' of HuggingFace.*Loading failed"):
        HuggingFace(empty).build((4,))
    with pytest.raises(ParameterError, match=r"'tokenizer' of HuggingFace.*Loading"):
        HuggingFace(empty).load_tokenizer()
    with pytest.raises(ParameterError, match=r"'tokenizer' of HuggingFace.*an object"):
        HuggingFace(model).load_tokenizer()
    with pytest.raises(ParameterError, match=r"takes \(B, 40\)"):
        build_encoder(HuggingFace(model), (40,))  # 12 positions


def test_a_missing_package_is_named(model, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(DependencyError, match=r"'semistruct\[huggingface\]'"):
        HuggingFace(model).build((4,))
