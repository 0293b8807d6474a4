"""Encoders of texts, and what `build_encoder` tells an encoder of its rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from semistruct.data import TextColumn
from semistruct.encoders import (
    MLP,
    SNN,
    FTTransformer,
    TextBag,
    TextTransformer,
    build_encoder,
)
from semistruct.engine import TensorSource, Training, train
from semistruct.exceptions import ParameterError
from semistruct.families import get_family
from semistruct.networks import SemiStructuredNetwork
from semistruct.objectives import LikelihoodObjective

FACTS = {"vocabulary": 20, "pad_id": 0}


def made(encoder, length: int, **facts) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_encoder(encoder, (length,), facts={**FACTS, **facts})[0].eval()


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("pad_id", [0, 7])
def test_padding_does_not_matter(pooling, pad_id) -> None:
    module = made(TextTransformer(pooling=pooling), 12, pad_id=pad_id)
    ids = torch.tensor([[2, 5, 9, 4]])
    for length in (5, 9, 12):
        filled = torch.full((1, length), pad_id)
        filled[:, :4] = ids
        torch.testing.assert_close(module(filled), module(ids), atol=1e-6, rtol=1e-5)
    other = torch.tensor([[2, 5, 9, 3]])
    assert (module(other) - module(ids)).abs().max() > 1e-3


def test_padding_gets_no_attention_and_no_gradient() -> None:
    module = made(TextTransformer(), 6).train()
    module(torch.tensor([[2, 5, 0, 0, 0, 0]])).square().sum().backward()
    seen = module.embedding.weight.grad.abs().amax(dim=1) > 0
    assert seen.nonzero().flatten().tolist() == [2, 5]
    assert (module.positions.grad[2:] == 0).all()


def test_the_order_of_words_counts_in_a_transformer_only() -> None:
    ids = torch.tensor([[2, 5, 9, 4]])
    turned = ids[:, [0, 3, 2, 1]]
    transformer, bag = made(TextTransformer(), 4), made(TextBag(), 4)
    assert (transformer(ids) - transformer(turned)).abs().max() > 1e-4
    torch.testing.assert_close(bag(ids), bag(turned))


def test_a_block_is_that_of_torch() -> None:
    """The same weights in torch's own pre-norm layer."""
    module = made(TextTransformer(dim=8, heads=2, depth=1), 6)
    block = module.blocks[0]
    layer = nn.TransformerEncoderLayer(
        8, 2, 32, 0.0, activation="gelu", batch_first=True, norm_first=True
    ).eval()
    mine, theirs = block.attention, layer.self_attn
    pairs = [
        (theirs.in_proj_weight, mine.project.weight),
        (theirs.in_proj_bias, mine.project.bias),
        (theirs.out_proj.weight, mine.out.weight),
        (theirs.out_proj.bias, mine.out.bias),
        (layer.linear1.weight, block.feedforward[0].weight),
        (layer.linear1.bias, block.feedforward[0].bias),
        (layer.linear2.weight, block.feedforward[2].weight),
        (layer.linear2.bias, block.feedforward[2].bias),
    ]
    tokens = torch.randn(3, 6, 8, generator=torch.Generator().manual_seed(0))
    present = torch.ones(3, 6, dtype=torch.bool)
    present[1, 4:] = False
    with torch.no_grad():
        for target, value in pairs:
            target.copy_(value)
        expected = layer(tokens, src_key_padding_mask=~present)
        torch.testing.assert_close(
            block(tokens, present)[present], expected[present], atol=1e-5, rtol=1e-5
        )


def test_a_bag_is_the_mean_of_its_words() -> None:
    module = made(TextBag(dim=8), 5)
    weight = module[0].bag.weight
    ids = torch.tensor([[2, 5, 5, 0, 0], [0, 0, 0, 0, 0]])
    expected = torch.stack([(weight[2] + 2 * weight[5]) / 3, torch.zeros(8)])
    torch.testing.assert_close(module[0](ids), expected)


@pytest.mark.parametrize("encoder", [TextTransformer(), TextBag()])
def test_rows_of_padding_and_of_floats_are_taken(encoder) -> None:
    module = made(encoder, 5)
    nothing = torch.zeros(2, 5)
    assert module(nothing).isfinite().all()
    assert torch.equal(module(nothing), module(nothing.long()))
    module.train()(nothing).sum().backward()
    for parameter in module.parameters():
        assert parameter.grad is None or parameter.grad.isfinite().all()


@pytest.mark.parametrize("encoder", [TextTransformer(dropout=0.0), TextBag()], ids=str)
def test_it_learns_which_words_decide(encoder) -> None:
    rng = np.random.default_rng(0)
    others = [f"word{i}" for i in range(30)]
    y = rng.integers(0, 2, 400)
    texts = []
    for label in y:
        words = list(rng.choice(others, rng.integers(2, 8)))
        words.insert(rng.integers(0, len(words) + 1), ["benign", "malignant"][label])
        texts.append(" ".join(words))
    column = pd.Series(texts, name="note")
    reader = TextColumn.fit(column[:300], owner="text(note)")
    ids, mask = reader.read(column)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module, q = build_encoder(encoder, reader.shape, facts=reader.facts)
        network = SemiStructuredNetwork({"note": module}, {"note": q}, 1)
    objective = LikelihoodObjective(network, get_family("bernoulli"))
    rows = {"note": ids, "note:mask": mask, "y": torch.as_tensor(y, dtype=torch.float)}
    train(
        objective,
        TensorSource({name: tensor[:300] for name, tensor in rows.items()}),
        training=Training(max_epochs=12, learning_rate=5e-3, device="cpu"),
    )
    with torch.no_grad():
        eta = network({"note": ids[300:]}).linear_predictor[:, 0]
    assert ((eta > 0).numpy() == (y[300:] == 1)).mean() > 0.9


@pytest.mark.parametrize(
    ("encoder", "parameter"),
    [
        (TextTransformer(dim=30, heads=4), "dim"),
        (TextTransformer(depth=0), "depth"),
        (TextTransformer(heads=0), "heads"),
        (TextTransformer(pooling="max"), "pooling"),
        (TextTransformer(dropout=1.0), "dropout"),
        (TextBag(dim=0), "dim"),
        (TextBag(output_dim=0), "output_dim"),
    ],
)
def test_bad_parameters_are_named(encoder, parameter) -> None:
    with pytest.raises(ParameterError, match=f"'{parameter}' of Text"):
        encoder.build((5,), vocabulary=10)


@pytest.mark.parametrize("encoder", [TextTransformer(), TextBag()])
def test_the_vocabulary_is_needed(encoder) -> None:
    with pytest.raises(
        ParameterError, match=r"'vocabulary' of Text.*TextColumn\.facts"
    ):
        build_encoder(encoder, (5,))
    with pytest.raises(ParameterError, match=r"'vocabulary' of Text.*integer"):
        encoder.build((5,), vocabulary=1)
    with pytest.raises(
        ParameterError, match=r"'input_shape' of Text.*number of tokens"
    ):
        encoder.build((5, 2), vocabulary=10)


def test_facts_go_to_those_who_need_them() -> None:
    facts = {"columns": ("a", "g"), "cardinalities": (4,)}
    for encoder in (MLP(), FTTransformer()):
        module, q = build_encoder(encoder, (2,), facts=facts)
        assert q == 16
        assert module(torch.tensor([[0.5, 3.0]])).shape == (1, 16)
    with pytest.raises(ParameterError, match="of 'g' must be one that has embeddings"):
        build_encoder(SNN(), (2,), facts=facts)
    build_encoder(SNN(), (2,), facts={"columns": ("a", "b"), "cardinalities": ()})


def test_a_module_of_the_users_takes_ids() -> None:
    own = nn.Sequential(nn.Embedding(20, 3), nn.Flatten())
    module, q = build_encoder(own, (4,), facts=FACTS)
    assert q == 12
    assert module(torch.ones(2, 4, dtype=torch.int64)).shape == (2, 12)
