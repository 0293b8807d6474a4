"""Bags and views against loops over their tiles."""

from __future__ import annotations

import copy

import pytest
import torch
from sklearn.base import clone
from torch import nn

from semistruct.encoders import CNN, MultiView, PatchBag, ResNet, build_encoder
from semistruct.exceptions import ParameterError

COUNTS = [4, 1, 0, 3]


def bags(counts=COUNTS, largest: int = 4, side: int = 6) -> torch.Tensor:
    """Bags (B, T, 2, side, side) with so many tiles."""
    generator = torch.Generator().manual_seed(0)
    x = torch.zeros(len(counts), largest, 2, side, side)
    for i, count in enumerate(counts):
        x[i, :count, 0] = torch.randn(count, side, side, generator=generator)
        x[i, :count, 1] = 1.0
    return x


def build(encoder, shape=(4, 2, 6, 6)) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return encoder.build(shape).eval()


ALL = [
    PatchBag(CNN(width=4)),
    PatchBag(CNN(width=4), attention="plain"),
    MultiView(CNN(width=4), pooling="mean"),
    MultiView(CNN(width=4), pooling="max"),
    MultiView(CNN(width=4), pooling="attention"),
]
EACH = pytest.mark.parametrize("encoder", ALL, ids=str)


def pooled(module: nn.Module, row: torch.Tensor, encoder) -> torch.Tensor:
    """The features of one row, tile by tile."""
    tiles = [t[:-1] for t in row if t[-1].min() == 1]
    if not tiles:
        return torch.zeros(16)
    h = [nn.functional.gelu(module.tile(t[None])[0]) for t in tiles]
    kind = getattr(encoder, "pooling", "attention")
    if kind == "mean":
        return sum(h) / len(h)
    if kind == "max":
        return torch.stack([max(values) for values in zip(*h, strict=True)])
    p = module.pooling
    scores = []
    for vector in h:
        hidden = torch.tanh(p.content.weight @ vector + p.content.bias)
        if getattr(encoder, "attention", "gated") == "gated":
            gate = p.gate.weight @ vector + p.gate.bias
            hidden = hidden / (1 + torch.exp(-gate))
        scores.append(torch.exp(p.score.weight[0] @ hidden))
    return sum(s * v for s, v in zip(scores, h, strict=True)) / sum(scores)


@EACH
def test_features_are_those_of_a_loop_over_tiles(encoder) -> None:
    module, x = build(encoder), bags()
    wanted = torch.stack([pooled(module, row, encoder) for row in x])
    torch.testing.assert_close(module.features(x), wanted)
    torch.testing.assert_close(module(x), module.head(wanted))


@EACH
def test_neither_order_nor_filling_counts(encoder) -> None:
    module, x = build(encoder), bags()
    torch.testing.assert_close(module(x[:, [2, 0, 3, 1]]), module(x))
    torch.testing.assert_close(module(bags(largest=9)), module(x))
    garbage = x.clone()
    garbage[:, :, 0][x[:, :, 1] == 0] = 1e6
    torch.testing.assert_close(module(garbage), module(x))


@EACH
def test_weights_sum_to_one_over_the_tiles_that_are_there(encoder) -> None:
    weights = build(encoder).attention(bags())
    assert weights.shape == (4, 4)
    assert (weights >= 0).all()
    torch.testing.assert_close(weights.sum(1), torch.tensor([1.0, 1.0, 0.0, 1.0]))
    assert (weights[bags()[:, :, 1, 0, 0] == 0] == 0).all()


@EACH
def test_no_tiles_at_all(encoder) -> None:
    module, x = build(encoder), bags([0, 0]).requires_grad_()
    for mode in (True, False):
        latent = module.train(mode)(x)
        assert torch.equal(latent, module.head.bias.expand(2, -1))
    latent.sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in module.parameters())


def test_gradients_come_to_tiles_that_are_there_only() -> None:
    x = bags().requires_grad_()
    build(PatchBag(CNN(width=4)))(x).square().sum().backward()
    there = bags()[:, :, 1, 0, 0] == 1
    moved = x.grad[:, :, 0].abs().amax((2, 3)) > 0
    assert torch.equal(moved, there)


def test_batch_norm_of_tiles_does_not_see_the_filling() -> None:
    encoder = PatchBag(ResNet())
    states = []
    for largest in (4, 9):
        module = build(encoder, (4, 2, 6, 6)).train()
        module(bags(largest=largest))
        states.append(module.state_dict())
    for name, tensor in states[0].items():
        torch.testing.assert_close(tensor, states[1][name])
    one = build(encoder).train()
    assert one(bags([1, 0])).isfinite().all()


def test_attention_finds_the_tile_that_matters() -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.zeros(64, 5, 2, 6, 6)
    x[:, :, 0] = torch.randn(64, 5, 6, 6, generator=generator) * 0.3
    x[:, :, 1] = 1.0
    place = torch.randint(5, (64,), generator=generator)
    y = (torch.arange(64) % 2).float()
    x[torch.arange(64), place, 0, 2:4, 2:4] += 3.0 * y[:, None, None]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = PatchBag(CNN(width=4, depth=1), output_dim=1).build((5, 2, 6, 6))
    optimizer = torch.optim.Adam(module.parameters(), lr=0.01)
    for _ in range(80):
        loss = nn.functional.binary_cross_entropy_with_logits(module(x)[:, 0], y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    weights = module.eval().attention(x)
    found = weights.argmax(1) == place
    assert loss < 0.1
    assert found[y == 1].float().mean() > 0.95


def test_parameters_of_the_encoder_within() -> None:
    encoder = PatchBag(CNN(width=4))
    assert encoder.get_params()["encoder__width"] == 4
    changed = clone(encoder).set_params(encoder__width=8)
    assert changed.encoder.width == 8
    assert encoder.encoder.width == 4
    assert PatchBag().build((4, 2, 6, 6)).tile.head.out_features == 16


def test_a_users_module_is_copied() -> None:
    own = nn.Sequential(nn.Flatten(), nn.Linear(36, 3))
    module, q = build_encoder(MultiView(own, output_dim=2), (4, 2, 6, 6))
    assert q == 2
    assert module.tile is not own
    again = copy.deepcopy(module)
    assert torch.equal(again(bags()), module(bags()))


def test_only_these_encoders_take_bags() -> None:
    assert PatchBag.bags
    assert MultiView.bags
    assert not CNN.bags


@pytest.mark.parametrize(
    ("encoder", "shape", "parameter"),
    [
        (PatchBag(hidden=0), (4, 2, 6, 6), "hidden"),
        (PatchBag(attention="both"), (4, 2, 6, 6), "attention"),
        (MultiView(pooling="sum"), (4, 2, 6, 6), "pooling"),
        (PatchBag("cnn"), (4, 2, 6, 6), "encoder"),
        (PatchBag(PatchBag()), (4, 2, 6, 6), "encoder"),
        (MultiView(dropout=1.0), (4, 2, 6, 6), "dropout"),
        (PatchBag(), (2, 6, 6), "input_shape"),
        (PatchBag(), (4, 1, 6, 6), "input_shape"),
        (PatchBag(CNN(width=0)), (4, 2, 6, 6), "width"),
    ],
)
def test_bad_parameters_are_named(encoder, shape, parameter) -> None:
    with pytest.raises(ParameterError, match=f"'{parameter}' of "):
        encoder.build(shape)
