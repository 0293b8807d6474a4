"""What every registered encoder must do."""

from __future__ import annotations

import inspect

import pytest
import torch
from sklearn.base import clone
from torch import nn

from semistruct.encoders import ENCODERS, Encoder, build_encoder

SHAPES = {
    "cnn": [(1, 8, 8), (3, 32, 32), (1, 13, 40), (3, 256, 256), (2, 1, 5), (1, 64, 64)],
    "mlp": [(1,), (7,), (2000,)],
}
CASES = [(name, shape) for name in ENCODERS for shape in SHAPES[name]]
EACH = pytest.mark.parametrize(("name", "shape"), CASES, ids=str)


def build(name: str, shape: tuple[int, ...], **parameters: object) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return ENCODERS[name](**parameters).build(shape)


def rows(n: int, shape: tuple[int, ...]) -> torch.Tensor:
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(1))


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
        latent = module(scale * rows(4, shape))
        assert latent.shape == (4, 3)
        assert latent.isfinite().all()
        assert latent.dtype == torch.float32


@EACH
def test_gradient_reaches_every_parameter(name, shape) -> None:
    module = build(name, shape)
    module(rows(6, shape)).square().sum().backward()
    for key, parameter in module.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        assert parameter.grad.abs().max() > 0, key


@EACH
def test_gradient_to_a_constant_input_is_finite(name, shape) -> None:
    constant = torch.zeros(2, *shape, requires_grad=True)
    build(name, shape)(constant).sum().backward()
    assert constant.grad.isfinite().all()


@EACH
def test_a_row_does_not_depend_on_the_rows_beside_it(name, shape) -> None:
    module = build(name, shape).eval()
    x = rows(5, shape)
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
    other = ENCODERS[name]().build(shape).eval()
    x = rows(3, shape)
    other.load_state_dict(module.state_dict())
    assert torch.equal(other(x), module(x))


@EACH
def test_dropout_acts_in_training_only(name, shape) -> None:
    module = build(name, shape, dropout=0.5)
    x = rows(3, shape)
    assert not torch.equal(module(x), module(x))
    module.eval()
    assert torch.equal(module(x), module(x))


@EACH
def test_build_encoder_takes_the_specification(name, shape) -> None:
    module, q = build_encoder(ENCODERS[name](output_dim=7), shape)
    assert q == 7
    assert module.training
