"""Losses of modalities' vectors against slow, literal transcriptions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from semistruct.encoders import MLP
from semistruct.exceptions import DataError, ParameterError
from semistruct.networks import SemiStructuredNetwork, build_fused
from semistruct.objectives import (
    AuxiliaryObjective,
    CorrelationLoss,
    CoxObjective,
    CrossReconstructionLoss,
    FusedObjective,
    SimilarityLoss,
    canonical_correlation,
    cross_reconstruction_loss,
    pearson_correlation,
    similarity_loss,
)


def draws(*shape: int, seed: int = 0) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=g, dtype=torch.float64)


def present(n: int, m: int) -> torch.Tensor:
    g = torch.Generator().manual_seed(3)
    return torch.rand(n, m, generator=g) > 0.3


def slow_similarity(latents, there, margin):
    def cos(a, b):
        return float(a @ b / np.sqrt((a @ a) * (b @ b)))

    h = [latent.numpy() for latent in latents]
    n, m = there.shape
    terms = [
        max(0.0, margin - cos(h[i][x], h[j][x]) + cos(h[i][x], h[j][y]))
        for x, y in itertools.permutations(range(n), 2)
        for i, j in itertools.permutations(range(m), 2)
        if there[x, i] and there[x, j] and there[y, j]
    ]
    return np.mean(terms)


@pytest.mark.parametrize("margin", [0.0, 0.1, 0.7])
@pytest.mark.parametrize("m", [2, 3])
def test_similarity_is_the_mean_over_pairs_that_are_there(m, margin) -> None:
    latents, there = [draws(7, 4, seed=k) for k in range(m)], present(7, m)
    for mask in (there, torch.ones_like(there)):
        found = similarity_loss(latents, mask, margin)
        assert found.item() == pytest.approx(slow_similarity(latents, mask, margin))
    assert similarity_loss(latents, margin=margin).item() == pytest.approx(found.item())


def test_similarity_by_hand() -> None:
    # h_1 = (1, 0), (0, 1); h_2 = (3, 4), (0, 2): cosines .6, .8 of own rows and 0, 1
    one = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    two = torch.tensor([[3.0, 4.0], [0.0, 2.0]])
    # i=1, j=2: x=1: .1 - .6 + 0 < 0; x=2: .1 - 1 + .8 < 0
    # i=2, j=1: x=1: .1 - .6 + .8 = .3; x=2: .1 - 1 + 0 < 0
    assert similarity_loss([one, two]).item() == pytest.approx(0.3 / 4)
    mask = torch.tensor([[True, True], [True, False]])  # only i=2, j=1, x=1 is left
    assert similarity_loss([one, two], mask).item() == pytest.approx(0.3)


def test_masked_vectors_have_no_effect_and_no_gradient() -> None:
    latents, there = [draws(6, 3, seed=k) for k in range(2)], present(6, 2)
    assert not there.all()
    spoilt = [
        latent.masked_fill(~mask[:, None], 0.0).requires_grad_()
        for latent, mask in zip(latents, there.T, strict=True)
    ]
    value = similarity_loss(spoilt, there)
    assert value.item() == pytest.approx(similarity_loss(latents, there).item())
    value.backward()
    for latent, mask in zip(spoilt, there.T, strict=True):
        assert latent.grad is not None
        assert latent.grad.isfinite().all()
        assert (latent.grad[~mask] == 0).all()
    nobody = torch.zeros(6, 2, dtype=torch.bool)
    assert similarity_loss(latents, nobody).item() == 0.0


def test_what_similarity_cannot_take() -> None:
    with pytest.raises(DataError, match="all of one length"):
        similarity_loss([draws(3, 2), draws(3, 4)])
    with pytest.raises(DataError, match="two modalities"):
        similarity_loss([draws(3, 2)])
    with pytest.raises(ParameterError, match="margin"):
        similarity_loss([draws(3, 2), draws(3, 2)], margin=-1.0)


def test_pearson_correlation_is_numpys() -> None:
    a, b = draws(9, 3), draws(9, 3, seed=1) + draws(9, 3)
    there = present(9, 1)[:, 0]
    for rows in (torch.ones(9, dtype=torch.bool), there):
        pairs = zip(a[rows].T.numpy(), b[rows].T.numpy(), strict=True)
        expected = sum(np.corrcoef(x, y)[0, 1] for x, y in pairs)
        assert pearson_correlation(a, b, rows).item() == pytest.approx(expected)


def test_a_dimension_that_does_not_vary_adds_nothing() -> None:
    a, b = draws(9, 2), draws(9, 2, seed=1)
    flat = torch.cat([torch.ones(9, 1, dtype=a.dtype), a[:, 1:]], dim=1)
    flat.requires_grad_()
    found = pearson_correlation(flat, b)
    expected = np.corrcoef(a[:, 1].numpy(), b[:, 1].numpy())[0, 1]
    assert found.item() == pytest.approx(expected)
    found.backward()
    assert flat.grad is not None
    assert flat.grad.isfinite().all()
    assert pearson_correlation(a[:1], b[:1]).item() == 0.0


def test_canonical_correlations_are_those_of_orthonormal_bases() -> None:
    a, b = draws(40, 3), draws(40, 3) + draws(40, 3, seed=1)
    b = torch.cat([b, draws(40, 1, seed=2)], dim=1)
    q1, q2 = (np.linalg.qr((v - v.mean(0)).numpy())[0] for v in (a, b))
    expected = np.linalg.svd(q1.T @ q2, compute_uv=False).sum()
    found = canonical_correlation(a, b, ridge=1e-10)
    assert found.item() == pytest.approx(expected, rel=1e-6)
    mixed = b @ draws(4, 4, seed=5)  # any basis of the same space
    again = canonical_correlation(a, mixed, ridge=1e-10)
    assert again.item() == pytest.approx(expected, rel=1e-6)


def test_gradients_of_correlations_are_finite_differences() -> None:
    a, b = draws(12, 2).requires_grad_(), draws(12, 3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(canonical_correlation, (a, b))
    c = draws(12, 2, seed=2).requires_grad_()
    assert torch.autograd.gradcheck(pearson_correlation, (a, c))
    mask = present(12, 2)
    assert torch.autograd.gradcheck(lambda x, y: similarity_loss([x, y], mask), (a, c))


def test_what_correlations_cannot_take() -> None:
    with pytest.raises(DataError, match="one output_dim"):
        pearson_correlation(draws(3, 2), draws(3, 4))
    with pytest.raises(DataError, match="same rows"):
        canonical_correlation(draws(3, 2), draws(4, 2))
    with pytest.raises(ParameterError, match="ridge"):
        canonical_correlation(draws(3, 2), draws(3, 2), ridge=0.0)
    with pytest.raises(ParameterError, match="canonical"):
        CorrelationLoss("canonic")


@pytest.mark.parametrize("cross", [True, False])
def test_cross_reconstruction_is_a_sum_of_means_per_feature(cross) -> None:
    rows = [draws(5, 2), draws(5, 7, seed=1), draws(5, 3, seed=2)]
    codes = [draws(5, 4, seed=k) for k in range(3)]
    maps = [draws(4, p, seed=9) for p in (2, 7, 3)]
    there = present(5, 3)
    expected = 0.0
    for i, j in itertools.product(range(3), range(3)):
        if i != j and not cross:
            continue
        errors = [
            ((rows[j][b] - codes[i][b] @ maps[j]) ** 2).mean().item()
            for b in range(5)
            if there[b, i] and there[b, j]
        ]
        expected += float(np.mean(errors)) if errors else 0.0
    decoders = [lambda z, w=w: z @ w for w in maps]
    found = cross_reconstruction_loss(rows, codes, decoders, there, cross=cross)
    assert found.item() == pytest.approx(expected)


def test_cross_reconstruction_counts_its_modalities() -> None:
    with pytest.raises(DataError, match="one for each"):
        cross_reconstruction_loss([draws(3, 2)], [draws(3, 2)] * 2, [lambda z: z])


SHAPES = {"a": (3,), "b": (5,), "c": (2,)}


def network(how: str = "mean") -> SemiStructuredNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        specs = {key: MLP((6,), 4, dropout=0.0) for key in SHAPES}
        module, q = build_fused(specs, SHAPES, how)
        return SemiStructuredNetwork({"abc": module}, {"abc": q}, 1)


def batch(n: int = 12) -> dict[str, torch.Tensor]:
    rows = {k: draws(n, *s, seed=i).float() for i, (k, s) in enumerate(SHAPES.items())}
    mask = torch.arange(n) % 4 > 0
    target = {"time": torch.arange(1.0, n + 1), "event": torch.arange(n) % 3 > 0}
    return {**rows, "b:mask": mask, **target}


def losses() -> dict[str, nn.Module]:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        decoders = [nn.Linear(4, p) for (p,) in SHAPES.values()]
        more = [nn.Linear(4, p) for (p,) in SHAPES.values()]
    return {
        "similarity": SimilarityLoss(0.9),
        "pearson": CorrelationLoss(),
        "canonical": CorrelationLoss("canonical"),
        "concat": CrossReconstructionLoss(decoders, cross=False),
        "cross": CrossReconstructionLoss(more),
    }


@pytest.mark.parametrize("name", list(losses()))
def test_a_gradient_reaches_every_encoder_and_decoder(name) -> None:
    loss, net = losses()[name], network()
    FusedObjective(net, "abc", loss).step(batch()).loss.backward()
    reached = [*net.encoder("abc").named_parameters(), *loss.named_parameters()]
    silent = [k for k, p in reached if p.grad is None or not p.grad.abs().sum() > 0]
    if name in ("pearson", "canonical"):  # correlations ignore the level
        silent = [k for k in silent if not k.endswith("bias")]
    assert silent == []


@pytest.mark.parametrize("name", list(losses()))
def test_what_stands_beside_is_the_weighted_sum(name) -> None:
    loss, net, rows = losses()[name], network(), batch()
    nn.init.normal_(net.head("abc").weight)
    main = CoxObjective(net)
    both = AuxiliaryObjective(main, net, "abc", loss, 0.3).eval()
    alone = FusedObjective(net, "abc", loss).step(rows).loss
    output = both.step(rows)
    assert output.loss.item() == pytest.approx(
        main.step(rows).loss.item() + 0.3 * alone.item(), rel=1e-5
    )
    assert output.parts[loss.name].item() == pytest.approx(alone.item(), rel=1e-5)
    assert set(output.parts) == {"negative_log_likelihood", loss.name}
    assert both.evaluate([rows]) == pytest.approx(main.evaluate([rows]))
    seen = dict(both.named_parameters())
    assert len({id(p) for p in seen.values()}) == len(seen)
    assert not net.encoder("abc")._forward_hooks  # taken away again


def test_the_weight_is_checked() -> None:
    net = network()
    with pytest.raises(ParameterError, match="weight"):
        AuxiliaryObjective(CoxObjective(net), net, "abc", SimilarityLoss(), -0.1)


def test_a_loss_that_fails_leaves_no_hook() -> None:
    net, rows = network(), batch()
    del rows["time"]
    both = AuxiliaryObjective(CoxObjective(net), net, "abc", SimilarityLoss(), 0.3)
    with pytest.raises(KeyError):
        both.step(rows)
    assert not net.encoder("abc")._forward_hooks
