from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from semistruct.data import TableColumns
from semistruct.encoders import MLP, FTTransformer, ResNetMLP, build_encoder
from semistruct.encoders._categories import Categories, Embedded
from semistruct.engine import TensorSource, Training, train
from semistruct.exceptions import ParameterError
from semistruct.families import Gaussian
from semistruct.networks import SemiStructuredNetwork
from semistruct.objectives import LikelihoodObjective

KINDS = [MLP, ResNetMLP, FTTransformer]


def built(encoder, p: int, cardinalities=()) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return encoder.build((p,), cardinalities=cardinalities).eval()


def rows(n: int, p: int, cardinalities=()) -> torch.Tensor:
    g = torch.Generator().manual_seed(1)
    numbers = torch.randn(n, p - len(cardinalities), generator=g)
    codes = [torch.randint(0, c, (n, 1), generator=g).float() for c in cardinalities]
    return torch.cat([numbers, *codes], dim=1)


def test_the_tokenizer_cell_by_cell() -> None:
    cardinalities = (3, 5)
    tokenizer = built(FTTransformer(dim=8), 5, cardinalities).tokenizer
    x = rows(6, 5, cardinalities)
    with torch.no_grad():
        tokens = tokenizer(x)
        assert tokens.shape == (6, 6, 8)
        for i in range(6):
            for d in range(8):
                assert tokens[i, 0, d] == tokenizer.first[0, 0, d]
                for j in range(5):
                    if j < 3:
                        value = x[i, j] * tokenizer.slope[j, d]
                    else:
                        weight = tokenizer.categories.weights[j - 3]
                        code = int(x[i, j])
                        levels = [code - 1] if code else range(len(weight))
                        found = [weight[level, d] for level in levels]
                        value = sum(found) / len(found)
                    value = value + tokenizer.bias[j, d]
                    torch.testing.assert_close(tokens[i, j + 1, d], value)


def test_the_first_attention_has_no_norm_before_it() -> None:
    module = built(FTTransformer(depth=3), 4)
    kinds = [type(block.first) for block in module.blocks]
    assert kinds == [nn.Identity, nn.LayerNorm, nn.LayerNorm]


def test_a_residual_block_in_numpy() -> None:
    module = built(ResNetMLP(dim=4, depth=1, output_dim=2), 3)
    x = rows(5, 3)
    lines = {
        key: value.detach().double().numpy() for key, value in module.named_parameters()
    }

    def linear(name: str, v: np.ndarray) -> np.ndarray:
        return v @ lines[f"{name}.weight"].T + lines[f"{name}.bias"]

    def norm(name: str, v: np.ndarray) -> np.ndarray:
        centred = v - v.mean(axis=1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-5)
        return scaled * lines[f"{name}.weight"] + lines[f"{name}.bias"]

    h = linear("1", x.double().numpy())
    hidden = np.maximum(linear("2.body.1", norm("2.body.0", h)), 0)
    h = h + linear("2.body.4", hidden)
    expected = linear("5", np.maximum(norm("3", h), 0))
    np.testing.assert_allclose(module(x).detach().numpy(), expected, atol=1e-5)


def test_code_zero_is_the_mean_of_the_levels() -> None:
    categories = Categories((4, 2), (3, 5))
    first, second = categories(torch.tensor([[0.0, 1.0], [2.0, 0.0]]))
    torch.testing.assert_close(first[0], categories.weights[0].mean(dim=0))
    torch.testing.assert_close(first[1], categories.weights[0][1])
    torch.testing.assert_close(second[0], second[1])  # one level is its own mean


def test_widths_of_embeddings() -> None:
    cardinalities = (2, 3, 8, 900)
    embedded = Embedded(5, cardinalities)
    assert [w.shape[1] for w in embedded.categories.weights] == [1, 1, 4, 50]
    assert embedded.width == 57
    assert embedded(rows(3, 5, cardinalities)).shape == (3, 57)
    assert Embedded(5, cardinalities, 6).width == 25


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("p", "cardinalities"), [(2, (3, 4)), (5, (2, 6)), (1, (3,))])
def test_gradient_reaches_every_parameter(kind, p, cardinalities) -> None:
    module = built(kind(), p, cardinalities)
    module(rows(40, p, cardinalities)).square().sum().backward()
    for key, parameter in module.named_parameters():
        assert parameter.grad.isfinite().all(), key
        assert parameter.grad.abs().max() > 0, key


def test_without_categories_an_mlp_is_what_it_was() -> None:
    assert list(built(MLP(), 3).state_dict()) == [
        *("0.weight", "0.bias", "1.weight", "1.bias", "4.weight", "4.bias")
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_it_learns_an_interaction_with_a_category(kind) -> None:
    rng = np.random.default_rng(0)
    n = 600
    frame = pd.DataFrame({"x": rng.normal(size=n), "g": rng.choice(list("abc"), n)})
    slope = frame["g"].map({"a": -1.0, "b": 0.0, "c": 1.0})
    y = (slope * frame["x"] + 0.1 * rng.normal(size=n)).to_numpy(np.float32)
    reader = TableColumns.fit(("x", "g"), frame[:450], owner="tabular(x, g)")
    block, _ = reader.read(frame)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module, q = build_encoder(kind(dropout=0.0), reader.shape, facts=reader.facts)
        network = SemiStructuredNetwork({"t": module}, {"t": q}, 1)
    source = TensorSource({"t": block[:450], "y": torch.as_tensor(y[:450])})
    training = Training(max_epochs=30, learning_rate=5e-3, device="cpu")
    train(LikelihoodObjective(network, Gaussian()), source, training=training)
    with torch.no_grad():
        found = network({"t": block[450:]}).linear_predictor[:, 0].numpy()
    residual = ((found - y[450:]) ** 2).mean() / y[450:].var()
    assert residual < 0.2  # without the category it is 1


@pytest.mark.parametrize(
    ("encoder", "parameter"),
    [
        (ResNetMLP(dim=1), "dim"),
        (ResNetMLP(depth=0), "depth"),
        (ResNetMLP(factor=0), "factor"),
        (ResNetMLP(embedding_dim=0), "embedding_dim"),
        (MLP(embedding_dim=0), "embedding_dim"),
        (FTTransformer(dim=10, heads=4), "dim"),
        (FTTransformer(depth=0), "depth"),
        (FTTransformer(dropout=2), "dropout"),
    ],
)
def test_bad_parameters_are_named(encoder, parameter) -> None:
    with pytest.raises(ParameterError, match=f"'{parameter}' of [RMF]"):
        encoder.build((3,))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cardinalities", [(1,), (3, 3)])
def test_bad_cardinalities_are_named(kind, cardinalities) -> None:
    with pytest.raises(
        ParameterError, match=r"'cardinalities' of .* at most 1 numbers"
    ):
        kind().build((1,), cardinalities=cardinalities)
    with pytest.raises(ParameterError, match=r"'input_shape' of .*number of columns"):
        kind().build((1, 8, 8))
