"""Attention, blocks and the resampler against literal transcriptions."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from semistruct.exceptions import ParameterError
from semistruct.vlm.components import (
    Attention,
    Block,
    FeedForward,
    LatentResampler,
    MixtureOfExperts,
    Transformer,
    causal_mask,
    load_balance,
    local_mask,
)

B, L, M, D, H = 3, 5, 4, 8, 2


@pytest.fixture(autouse=True)
def _seed():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def literal(module: Attention, tokens, context, seen) -> torch.Tensor:
    """One row, one head and one token at a time."""
    out = torch.zeros_like(tokens)
    width = D // H
    for b in range(len(tokens)):
        q = module.query(tokens[b])
        k, v = module.key_value(context[b]).split(D, dim=1)
        if module.memory is not None:
            k, v = torch.cat([module.memory[0], k]), torch.cat([module.memory[1], v])
        for i in range(tokens.shape[1]):
            mixed = []
            for h in range(H):
                part = slice(h * width, (h + 1) * width)
                score = torch.stack(
                    [q[i, part] @ k[j, part] / math.sqrt(width) for j in range(len(k))]
                )
                score = score.masked_fill(~seen[b, i], -math.inf)
                mixed.append(score.softmax(0) @ v[:, part])
            out[b, i] = module.out(torch.cat(mixed))
    return out


@pytest.mark.parametrize("memory", [0, 3])
def test_cross_attention_with_all_masks(memory):
    module = Attention(D, H, memory=memory)
    tokens, context = torch.randn(B, L, D), torch.randn(B, M, D)
    mask = torch.rand(L, M) < 0.6
    present = torch.rand(B, M) < 0.7
    mask[:, 0] = True
    present[:, 0] = True
    seen = mask[None] & present[:, None, :]
    seen = functional.pad(seen, (memory, 0), value=True)
    found = module(tokens, context, mask=mask, present=present)
    torch.testing.assert_close(found, literal(module, tokens, context, seen))


def test_a_mask_of_its_own_for_each_row():
    module = Attention(D, H)
    tokens = torch.randn(B, L, D)
    mask = (torch.rand(B, L, L) < 0.5) | torch.eye(L, dtype=torch.bool)
    found = module(tokens, mask=mask)
    torch.testing.assert_close(found, literal(module, tokens, tokens, mask))


def test_context_of_another_width():
    module = Attention(D, H, context_dim=3)
    assert module(torch.randn(B, L, D), torch.randn(B, M, 3)).shape == (B, L, D)


def test_a_closed_gate_changes_nothing_and_can_open():
    module = Attention(D, H, gated=True)
    tokens = torch.randn(B, L, D)
    found = module(tokens)
    assert (found == 0).all()
    found.sum().backward()
    assert module.gate.grad != 0
    with torch.no_grad():
        module.gate.fill_(0.5)
    plain = Attention(D, H)
    plain.load_state_dict(module.state_dict(), strict=False)
    torch.testing.assert_close(module(tokens), plain(tokens) * math.tanh(0.5))


def test_causal_and_local_masks():
    for i in range(6):
        for j in range(6):
            assert causal_mask(6)[i, j] == (j <= i)
            assert local_mask(6, 2)[i, j] == (abs(i - j) <= 2)


def test_with_a_causal_mask_the_future_has_no_effect():
    module = Transformer(D, 2, H)
    tokens = torch.randn(B, L, D)
    changed = tokens.clone()
    changed[:, 3:] = torch.randn(B, 2, D)
    mask = causal_mask(L)
    a, b = module(tokens, mask=mask), module(changed, mask=mask)
    torch.testing.assert_close(a[:, :3], b[:, :3])
    assert not torch.allclose(a[:, 3:], b[:, 3:])


def test_block_is_its_formula():
    block = Block(D, Attention(D, H), FeedForward(D), Attention(D, H, context_dim=3))
    x, context = torch.randn(B, L, D), torch.randn(B, M, 3)
    expected = x + block.attention(block.first(x))
    expected = expected + block.cross(block.middle(expected), context)
    expected = expected + block.feedforward(block.last(expected))
    torch.testing.assert_close(block(x, context), expected)


def copied(layer: nn.TransformerEncoderLayer) -> Block:
    """Give our block with the weights of torch's layer."""
    block = Block(D, Attention(D, H), FeedForward(D))
    attention, (up, _, down) = block.attention, block.feedforward
    theirs = layer.self_attn
    pairs = [
        (attention.query.weight, theirs.in_proj_weight[:D]),
        (attention.query.bias, theirs.in_proj_bias[:D]),
        (attention.key_value.weight, theirs.in_proj_weight[D:]),
        (attention.key_value.bias, theirs.in_proj_bias[D:]),
        (attention.out.weight, theirs.out_proj.weight),
        (attention.out.bias, theirs.out_proj.bias),
    ]
    for mine, other in (
        (up, layer.linear1),
        (down, layer.linear2),
        (block.first, layer.norm1),
        (block.last, layer.norm2),
    ):
        pairs += [(mine.weight, other.weight), (mine.bias, other.bias)]
    with torch.no_grad():
        for mine, other in pairs:
            mine.copy_(other)
    return block


@pytest.mark.parametrize("causal", [True, False])
def test_block_is_torchs_layer_with_the_same_weights(causal):
    layer = nn.TransformerEncoderLayer(
        D, H, 4 * D, 0.0, "gelu", batch_first=True, norm_first=True
    )
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    x = torch.randn(B, L, D)
    present = torch.arange(L) < torch.tensor([5, 3, 4])[:, None]
    mask = causal_mask(L) if causal else None
    expected = layer(
        x, src_mask=None if mask is None else ~mask, src_key_padding_mask=~present
    )
    found = copied(layer)(x, mask=mask, present=present)
    torch.testing.assert_close(found[present], expected[present], atol=1e-5, rtol=1e-5)


def test_transformer_gives_the_states_of_its_blocks():
    module = Transformer(D, 3, H)
    x = torch.randn(B, L, D)
    states = module.states(x)
    assert len(states) == 3
    torch.testing.assert_close(states[1], module.blocks[1](states[0]))
    torch.testing.assert_close(module(x), module.norm(states[-1]))


@pytest.mark.parametrize("top", [1, 2])
def test_mixture_of_experts_token_by_token(top):
    module = MixtureOfExperts(D, experts=3, top=top)
    x = torch.randn(B, L, D)
    found = module(x)
    for b in range(B):
        for i in range(L):
            p = module.router(x[b, i]).softmax(0)
            best = p.argsort(descending=True)[:top]
            weight = p[best] if top == 1 else p[best] / p[best].sum()
            expected = sum(
                w * module.experts[int(e)](x[b, i])
                for w, e in zip(weight, best, strict=True)
            )
            torch.testing.assert_close(found[b, i], expected)


def test_load_balance_by_hand():
    probability = torch.tensor([[0.7, 0.3], [0.6, 0.4], [0.2, 0.8]])
    gates = torch.tensor([[0.7, 0.0], [0.6, 0.0], [0.0, 0.8]])
    expected = 2 * (2 / 3 * 0.5 + 1 / 3 * 0.5)
    assert load_balance(probability, gates).item() == pytest.approx(expected)


def test_resampler_layer_is_its_formula():
    module = LatentResampler(D, latents=3, depth=1, heads=H)
    tokens = torch.randn(B, M, D)
    layer = module.layers[0]
    z = module.latents.expand(B, -1, -1)
    context = torch.cat([layer.of_tokens(tokens), layer.of_latents(z)], dim=1)
    z = z + layer.attention(layer.of_latents(z), context)
    z = z + layer.feedforward(layer.norm(z))
    torch.testing.assert_close(module(tokens), module.norm(z))


def test_resampler_does_not_see_padding():
    module = LatentResampler(D, latents=3, heads=H)
    tokens = torch.randn(B, M, D)
    present = torch.tensor([True, True, False, False]).expand(B, -1)
    torch.testing.assert_close(module(tokens, present), module(tokens[:, :2]))


@pytest.mark.parametrize(
    ("make", "parameter"),
    [
        (lambda: Attention(8, 3), "dim"),
        (lambda: Attention(8, 0), "heads"),
        (lambda: Attention(8, 2, memory=-1), "memory"),
        (lambda: Transformer(8, 0, 2), "depth"),
        (lambda: Transformer(8, 1, 2, experts=-1), "experts"),
        (lambda: MixtureOfExperts(8, 0), "experts"),
        (lambda: MixtureOfExperts(8, 2, top=3), "top"),
        (lambda: LatentResampler(8, 0), "latents"),
        (lambda: local_mask(3, -1), "window"),
    ],
)
def test_bad_sizes_are_named(make, parameter):
    with pytest.raises(ParameterError, match=f"'{parameter}'"):
        make()
