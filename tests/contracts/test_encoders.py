"""What every registered encoder must do."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from sklearn.base import clone
from torch import nn

from semistruct._core.torchvision import import_torchvision
from semistruct.encoders import ENCODERS, Encoder, build_encoder

SHAPES = {
    "autoencoder": [(1,), (7,), (200,)],
    "cnn": [(1, 8, 8), (3, 32, 32), (1, 13, 40), (3, 256, 256), (2, 1, 5), (1, 64, 64)],
    "bag": [(4, 2, 8, 8), (5, 4, 16, 16)],
    "efficientnet": [(1, 8, 8), (3, 32, 32), (3, 64, 64)],
    "ft_transformer": [(1,), (7,), (40,)],
    "huggingface": [(2,), (9,)],
    "mlp": [(1,), (7,), (2000,)],
    "pathway": [(1,), (7,), (2000,)],
    "resnet": [(1, 8, 8), (3, 32, 32), (2, 1, 5), (3, 64, 64)],
    "resnet_mlp": [(1,), (7,), (2000,)],
    "snn": [(1,), (7,), (2000,)],
    "text": [(1,), (9,), (64,)],
    "text_bag": [(1,), (9,), (64,)],
    "views": [(1, 2, 8, 8), (3, 4, 16, 12)],
    "vit": [(1, 8, 8), (3, 32, 32), (2, 1, 5), (1, 13, 40), (3, 64, 64)],
}
CASES = [(name, shape) for name in ENCODERS for shape in SHAPES[name]]
EACH = pytest.mark.parametrize(("name", "shape"), CASES, ids=str)
IDS = {"huggingface", "text", "text_bag"}  # rows are ids of a vocabulary
VOCABULARY = 30


def facts(name: str, shape: tuple[int, ...]) -> dict[str, Any]:
    """What a reader says of the rows beside their shape."""
    if name in IDS:
        return {"vocabulary": VOCABULARY, "pad_id": 0}
    return {"columns": tuple(f"g{j}" for j in range(shape[0]))}


def required(name: str, shape: tuple[int, ...]) -> dict[str, object]:
    """Parameters that an encoder cannot be built without."""
    if name == "pathway":
        names = facts(name, shape)["columns"]
        return {"groups": {"all": list(names), "first": list(names[:3])}}
    if name == "huggingface":
        import_torchvision("the test")
        from transformers import BertConfig, BertModel

        config = BertConfig(
            vocab_size=VOCABULARY,
            hidden_size=8,
            intermediate_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
        )
        return {"model": BertModel(config)}
    return {}


def build(name: str, shape: tuple[int, ...], **parameters: object) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = ENCODERS[name](**required(name, shape), **parameters)
        return build_encoder(encoder, shape, facts=facts(name, shape))[0]


def rows(name: str, n: int, shape: tuple[int, ...]) -> torch.Tensor:
    g = torch.Generator().manual_seed(1)
    if name in IDS:
        ids = torch.randint(1, VOCABULARY, (n, *shape), generator=g)
        ids[1, (shape[0] + 1) // 2 :] = 0  # padding
        return ids
    return torch.randn(n, *shape, generator=g)


def test_every_registered_encoder_has_shapes_here() -> None:
    assert set(SHAPES) == set(ENCODERS)


@pytest.mark.parametrize("name", ENCODERS)
def test_constructor_only_stores(name: str) -> None:
    encoder = ENCODERS[name](output_dim=5)
    defaults = inspect.signature(ENCODERS[name]).parameters
    for parameter, value in encoder.get_params().items():
        if parameter != "output_dim":
            assert value is defaults[parameter].default
    assert clone(encoder).get_params() == encoder.get_params()
    assert isinstance(encoder, Encoder)


@EACH
def test_output_has_the_promised_shape_and_is_finite(name, shape) -> None:
    module = build(name, shape, output_dim=3)
    for scale in (0.0, 1.0, 1e4):
        given = rows(name, 4, shape)
        latent = module(given if name in IDS else scale * given)
        assert latent.shape == (4, 3)
        assert latent.isfinite().all()
        assert latent.dtype == torch.float32


@EACH
def test_gradient_reaches_every_parameter(name, shape) -> None:
    module = build(name, shape)
    module(rows(name, 6, shape)).square().sum().backward()
    for key, parameter in module.named_parameters():
        if not parameter.requires_grad:  # a part of a foreign model that is left out
            assert name == "huggingface"
            continue
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        assert parameter.grad.abs().max() > 0, key


@EACH
def test_gradient_to_a_constant_input_is_finite(name, shape) -> None:
    if name in IDS:
        return  # ids have no gradient
    constant = torch.zeros(2, *shape, requires_grad=True)
    build(name, shape)(constant).sum().backward()
    assert constant.grad.isfinite().all()


@EACH
def test_a_row_does_not_depend_on_the_rows_beside_it(name, shape) -> None:
    module = build(name, shape).eval()
    x = rows(name, 5, shape)
    with torch.no_grad():
        together = module(x)
        alone = torch.cat([module(x[i : i + 1]) for i in range(5)])
        order = torch.tensor([3, 0, 4, 2, 1])
        shuffled = module(x[order])
    torch.testing.assert_close(alone, together, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(shuffled, together[order], atol=1e-5, rtol=1e-5)


@EACH
def test_saved_weights_give_the_same_output(name, shape) -> None:
    module = build(name, shape).eval()
    other = build(name, shape).eval()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1.0)
    x = rows(name, 3, shape)
    other.load_state_dict(module.state_dict())
    assert torch.equal(other(x), module(x))


@EACH
def test_dropout_acts_in_training_only(name, shape) -> None:
    module = build(name, shape, dropout=0.5)
    x = rows(name, 3, shape)
    assert not torch.equal(module(x), module(x))
    module.eval()
    assert torch.equal(module(x), module(x))


@EACH
def test_build_encoder_takes_the_specification(name, shape) -> None:
    encoder = ENCODERS[name](**required(name, shape), output_dim=7)
    module, q = build_encoder(encoder, shape, facts=facts(name, shape))
    assert q == 7
    assert module.training
