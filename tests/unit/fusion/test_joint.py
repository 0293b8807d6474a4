"""Joint fusions against literal transcriptions and other implementations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from semistruct.exceptions import ParameterError, PersistenceError
from semistruct.fusion import (
    AttentionFusion,
    ConcatFusion,
    CrossAttentionFusion,
    EmbraceFusion,
    Fusion,
    GatedFusion,
    MaxFusion,
    MeanFusion,
    ProductFusion,
    SumFusion,
    TensorFusion,
    Tokens,
    fusion_from_state,
    fusion_to_state,
    get_fusion,
)

DIMS = (3, 2, 4)
N = 9


def build(fusion: Fusion, dims=DIMS) -> nn.Module:
    torch.manual_seed(0)
    return fusion.build(dims).eval()


@pytest.fixture
def given():
    g = torch.Generator().manual_seed(1)
    latents = [torch.randn(N, q, generator=g) for q in DIMS]
    masks = torch.rand(N, len(DIMS), generator=g) < 0.6
    masks[0], masks[1] = True, False
    return latents, masks


def run(module: nn.Module, given) -> np.ndarray:
    with torch.no_grad():
        return module(*given).double().numpy()


def arrays(module: nn.Module) -> dict[str, np.ndarray]:
    return {k: v.detach().double().numpy() for k, v in module.named_parameters()}


def by_row(module: nn.Module, given, rule) -> np.ndarray:
    """Apply ``rule(x, present, weights)`` to each row that has a modality."""
    latents, masks = given
    weights, out = arrays(module), np.zeros((N, module.output_dim))
    for i in range(N):
        present = [m for m in range(len(DIMS)) if masks[i, m]]
        if present:
            x = [v[i].double().numpy() for v in latents]
            out[i] = rule(x, present, weights)
    return out


def mapped(w: dict[str, np.ndarray], name: str, m: int, x: np.ndarray) -> np.ndarray:
    return w[f"{name}.maps.{m}.weight"] @ x + w[f"{name}.maps.{m}.bias"]


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize(
    ("fusion", "combine"),
    [
        (SumFusion(5), lambda rows: np.sum(rows, axis=0)),
        (MeanFusion(5), lambda rows: np.mean(rows, axis=0)),
        (MaxFusion(5), lambda rows: np.max(rows, axis=0)),
        (ProductFusion(5), lambda rows: np.prod(rows, axis=0)),
    ],
    ids=["sum", "mean", "max", "prod"],
)
def test_entry_by_entry(fusion, combine, given) -> None:
    module = build(fusion)

    def rule(x, present, w):
        return combine([mapped(w, "project", m, x[m]) for m in present])

    np.testing.assert_allclose(
        run(module, given), by_row(module, given, rule), atol=1e-6
    )


def test_a_latent_of_the_common_length_is_not_mapped() -> None:
    module = build(MeanFusion())
    assert module.output_dim == 4
    assert [n for n, _ in module.named_parameters()] == [
        f"project.maps.{m}.{kind}" for m in (0, 1) for kind in ("weight", "bias")
    ]
    assert not list(build(MaxFusion(), (4, 4)).parameters())


def test_the_order_of_modalities_does_not_count_without_maps(given) -> None:
    latents, masks = [torch.randn(N, 3) for _ in DIMS], given[1]
    back = [2, 0, 1]
    for fusion in (SumFusion(), MeanFusion(), MaxFusion(), ProductFusion()):
        module = build(fusion, (3, 3, 3))
        other = run(module, ([latents[m] for m in back], masks[:, back]))
        np.testing.assert_allclose(run(module, (latents, masks)), other, atol=1e-6)


def test_concatenation_and_its_learned_blanks(given) -> None:
    latents, masks = given
    wide = torch.cat(latents, dim=1).double().numpy()
    owner = np.repeat(np.arange(3), DIMS)
    there = masks.numpy()[:, owner]
    expected = np.where(there, wide, 0.0)
    np.testing.assert_array_equal(run(build(ConcatFusion()), given), expected)
    module = build(ConcatFusion("learned"))
    np.testing.assert_array_equal(run(module, given), expected)  # blanks begin at zero
    nn.init.normal_(module.blank)
    expected = np.where(there, wide, arrays(module)["blank"])
    expected[~masks.numpy().any(axis=1)] = 0.0
    np.testing.assert_array_equal(run(module, given), expected)


def test_gated_unit_is_that_of_the_formula(given) -> None:
    module = build(GatedFusion(5))

    def rule(x, present, w):
        whole = np.concatenate([x[m] * (m in present) for m in range(3)])
        scores = (w["gate.weight"] @ whole + w["gate.bias"]).reshape(3, 5)
        return sum(
            sigmoid(scores[m]) * np.tanh(mapped(w, "content", m, x[m])) for m in present
        )

    np.testing.assert_allclose(
        run(module, given), by_row(module, given, rule), atol=1e-6
    )
    gates = module.gates(*given)
    assert gates.shape == (N, 3, 5)
    assert not gates[~given[1]].any()
    assert (gates[given[1]] > 0).all()


def test_two_gates_of_sum_one_are_the_bimodal_unit() -> None:
    module = build(GatedFusion(4, gate="softmax"), (3, 2))
    x, y = torch.randn(N, 3), torch.randn(N, 2)
    w = arrays(module)
    scores = np.hstack([x, y]) @ w["gate.weight"].T + w["gate.bias"]
    z = sigmoid(scores[:, :4] - scores[:, 4:])
    h = [
        np.tanh(
            v.numpy() @ w[f"content.maps.{m}.weight"].T + w[f"content.maps.{m}.bias"]
        )
        for m, v in enumerate((x, y))
    ]
    masks = torch.ones(N, 2, dtype=torch.bool)
    np.testing.assert_allclose(
        run(module, ([x, y], masks)), z * h[0] + (1 - z) * h[1], atol=1e-6
    )
    masks[:, 0] = False  # the one that is left has the whole gate
    np.testing.assert_allclose(run(module, ([x, y], masks)), h[1], atol=1e-6)


def test_attention_is_that_of_the_formula(given) -> None:
    module = build(AttentionFusion(5, hidden=6))

    def weights(x, present, w):
        scores = [
            w["score.weight"][0]
            @ np.tanh(
                w["content.weight"] @ mapped(w, "project", m, x[m]) + w["content.bias"]
            )
            for m in present
        ]
        return np.exp(scores) / np.exp(scores).sum()

    def rule(x, present, w):
        rows = [mapped(w, "project", m, x[m]) for m in present]
        return weights(x, present, w) @ np.array(rows)

    np.testing.assert_allclose(
        run(module, given), by_row(module, given, rule), atol=1e-6
    )
    found = module.weights(*given).detach()
    any_present = given[1].any(dim=1)
    torch.testing.assert_close(found.sum(dim=1), any_present.float())
    assert not found[~given[1]].any()
    x = [v[0].double().numpy() for v in given[0]]
    expected = weights(x, [0, 1, 2], arrays(module))
    np.testing.assert_allclose(found[0].numpy(), expected, atol=1e-6)


def test_attention_reads_no_masked_latent(given) -> None:
    latents, masks = given
    for fusion, read in (
        (AttentionFusion(), "weights"),
        (GatedFusion(), "gates"),
        (CrossAttentionFusion(), "weights"),
    ):
        module = build(fusion)
        clean = getattr(module, read)(latents, masks)
        spoiled = [v.clone() for v in latents]
        for v, mask in zip(spoiled, masks.T, strict=True):
            v[~mask] = math.nan
        assert torch.equal(getattr(module, read)(spoiled, masks), clean)


def test_low_rank_fusion_contracts_the_whole_tensor(given) -> None:
    rank, d = 3, 5
    module = build(TensorFusion(d, rank))
    nn.init.normal_(module.bias)

    def rule(x, present, w):
        tensor = np.zeros((d, *(q + 1 for q in DIMS)))
        factors = []
        for m in range(3):
            kernel, constant = (w[f"factors.maps.{m}.{k}"] for k in ("weight", "bias"))
            both = np.hstack([kernel, constant[:, None]])  # (R d, q + 1)
            factors.append(both.reshape(rank, d, -1))
        for r in range(rank):
            tensor += np.einsum("da,db,dc->dabc", *(f[r] for f in factors))
        z = [np.append(x[m] * (m in present), 1.0) for m in range(3)]
        return np.einsum("dabc,a,b,c->d", tensor, *z) + w["bias"]

    np.testing.assert_allclose(
        run(module, given), by_row(module, given, rule), atol=1e-5
    )


@pytest.mark.parametrize(("n_modalities", "rank"), [(2, 1), (2, 32), (6, 4)])
def test_low_rank_fusion_begins_at_the_scale_of_the_latents(n_modalities, rank) -> None:
    dims = (20,) * n_modalities
    module = build(TensorFusion(400, rank), dims)
    latents = [torch.randn(200, 20) for _ in dims]
    masks = torch.ones(200, n_modalities, dtype=torch.bool)
    # products of normal factors have heavy tails: only the order of magnitude
    assert 0.5 < run(module, (latents, masks)).std() < 2.0


def test_embrace_in_evaluation_is_the_mean_of_its_draws(given) -> None:
    latents, masks = given
    module = build(EmbraceFusion(5, probabilities=[3.0, 1.0, 2.0]))

    def rule(x, present, w):
        p = np.array([3.0, 1.0, 2.0])[present]
        rows = [np.maximum(mapped(w, "dock", m, x[m]), 0) for m in present]
        return p / p.sum() @ np.array(rows)

    expected = by_row(module, given, rule)
    np.testing.assert_allclose(run(module, given), expected, atol=1e-6)
    module.train()
    copies = 4000
    many = [v.repeat(copies, 1) for v in latents], masks.repeat(copies, 1)
    torch.manual_seed(2)
    draws = run(module, many).reshape(copies, N, 5)
    error = draws.std(axis=0) / math.sqrt(copies)
    assert (np.abs(draws.mean(axis=0) - expected) <= 4.5 * error + 1e-6).all()


def test_embrace_takes_each_entry_from_one_modality(given) -> None:
    latents, masks = given
    module = build(EmbraceFusion(50)).train()
    docked = module.dock(latents).relu().detach()  # (N, M, 50)
    fused = module(latents, masks).detach()
    masks = masks[masks.any(dim=1)]
    fused, docked = fused[given[1].any(dim=1)], docked[given[1].any(dim=1)]
    same = (fused[:, None] == docked) & masks[:, :, None]
    assert same.any(dim=1).all()
    assert not torch.equal(module(latents, given[1]), module(latents, given[1]))


def peer_block(block: nn.Module, tokens, allowed) -> torch.Tensor:
    """One row through torch's own attention, with its key of zeros."""
    d = tokens.shape[1]
    peer = nn.MultiheadAttention(
        d, block.heads, add_zero_attn=True, batch_first=True
    ).eval()
    linears = (block.query, block.key, block.value)
    with torch.no_grad():
        peer.in_proj_weight.copy_(torch.cat([m.weight for m in linears]))
        peer.in_proj_bias.copy_(torch.cat([m.bias for m in linears]))
        peer.out_proj.load_state_dict(block.out.state_dict())
        x = block.norm(tokens)[None]
        found, shares = peer(x, x, x, attn_mask=~allowed)
        tokens = tokens + found[0]
        return tokens + block.perceptron(tokens), shares[0, :, :-1]


@pytest.mark.parametrize("depth", [1, 2])
def test_cross_attention_agrees_with_torch_s_own(depth, given) -> None:
    latents, masks = given
    module = build(CrossAttentionFusion(8, heads=2, depth=depth))
    words = torch.randn(N, 5, 2)
    n_words = torch.tensor([5, 2, 0, 1, 5, 3, 4, 2, 1])
    there = torch.arange(5) < n_words[:, None]
    tokens = Tokens(words.masked_fill(~there[:, :, None], math.nan), there)
    mixed = [latents[0], tokens, latents[2]]
    fused, weights = run(module, (mixed, masks)), module.weights(mixed, masks).detach()
    maps = list(module.project.maps.values())
    for i in range(N):
        parts = [latents[0][i : i + 1], words[i, : n_words[i]], latents[2][i : i + 1]]
        present = [m for m in range(3) if masks[i, m] and len(parts[m])]
        if not present:
            assert not fused[i].any()
            continue
        x = torch.cat([maps[m](parts[m]) for m in present])
        owner = torch.cat([torch.full((len(parts[m]),), m) for m in present])
        for block in module.blocks:
            x, shares = peer_block(block, x, owner[:, None] != owner)
        x = module.norm(x)
        means = [x[owner == m].mean(dim=0) for m in present]
        # a text without words is present, and its mean is zero
        expected = (torch.stack(means).sum(dim=0) / masks[i].sum()).detach()
        np.testing.assert_allclose(fused[i], expected, atol=2e-5)
        for a in range(3):
            for b in range(3):
                block_of = shares[owner == a][:, owner == b]
                value = block_of.sum(dim=1).mean() if (owner == a).any() else 0.0
                assert weights[i, a, b] == pytest.approx(float(value), abs=1e-5)


def test_a_modality_alone_does_not_attend_to_anything() -> None:
    module = build(CrossAttentionFusion(8), (3, 2))
    only = torch.tensor([[True, False]])
    assert not module.weights([torch.randn(1, 3), torch.randn(1, 2)], only).any()


def test_get_fusion() -> None:
    assert isinstance(get_fusion("tensor"), TensorFusion)
    given = TensorFusion(rank=2)
    assert get_fusion(given) is given
    with pytest.raises(ParameterError, match=r"of fuse\(\).*Did you mean 'gated'"):
        get_fusion("gatd")
    with pytest.raises(ParameterError, match="a Fusion object"):
        get_fusion(3, owner="mine")


def test_states_of_what_is_not_registered() -> None:
    class Mine(MeanFusion):
        pass

    assert fusion_to_state(Mine()) is None
    with pytest.raises(PersistenceError, match=r"'mine'.*newer version"):
        fusion_from_state({"name": "mine", "params": {}})
    state = fusion_to_state(EmbraceFusion(probabilities=(1.0, 2.0)))
    assert state["params"]["probabilities"] == [1.0, 2.0]
