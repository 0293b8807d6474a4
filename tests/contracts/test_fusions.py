"""What every registered joint fusion must do."""

from __future__ import annotations

import inspect
import json

import pytest
import torch
from sklearn.base import clone

from semistruct.design._specification import FUSIONS as NAMES
from semistruct.exceptions import DataError, ParameterError
from semistruct.fusion import (
    FUSIONS,
    Fusion,
    FusionModule,
    Tokens,
    fusion_from_state,
    fusion_to_state,
)

DIMS = [(3, 4, 2), (5, 5), (1, 1), (2, 1, 6, 3)]
OPTIONS = [
    *((name, {}) for name in FUSIONS if name != "embrace"),
    ("embrace", {"output_dim": 16}),  # of a few rectified units all may be dead
    ("concat", {"missing": "learned"}),
    ("gated", {"gate": "softmax"}),
    ("cross_attention", {"depth": 2, "heads": 1}),
]
EACH = pytest.mark.parametrize(
    ("name", "options", "dims"),
    [(name, options, dims) for name, options in OPTIONS for dims in DIMS],
    ids=str,
)
N = 12


def build(
    name: str, options: dict, dims: tuple[int, ...], seed: int = 0
) -> FusionModule:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = FUSIONS[name](**options).build(dims)
        for parameter in module.parameters():
            if not parameter.any():  # what begins at zero
                torch.nn.init.normal_(parameter)
    return module


def latents(dims: tuple[int, ...], scale: float = 1.0) -> list[torch.Tensor]:
    g = torch.Generator().manual_seed(1)
    return [scale * torch.randn(N, q, generator=g) for q in dims]


def patterns(dims: tuple[int, ...]) -> torch.Tensor:
    """Masks (N, M) of many patterns, a row without any among them."""
    g = torch.Generator().manual_seed(2)
    masks = torch.rand(N, len(dims), generator=g) < 0.6
    masks[0], masks[1] = True, False
    masks[2] = torch.arange(len(dims)) == 0
    return masks


def quiet(module: FusionModule, *given: object) -> torch.Tensor:
    with torch.no_grad():
        return module(*given)


def test_the_language_knows_the_registered_names() -> None:
    assert set(NAMES) <= set(FUSIONS)


@pytest.mark.parametrize(("name", "options"), OPTIONS, ids=str)
def test_constructor_only_stores(name, options) -> None:
    fusion = FUSIONS[name](**options)
    defaults = inspect.signature(FUSIONS[name]).parameters
    for parameter, value in fusion.get_params().items():
        assert value is options.get(parameter, defaults[parameter].default)
    assert clone(fusion).get_params() == fusion.get_params()
    assert isinstance(fusion, Fusion)


@pytest.mark.parametrize(("name", "options"), OPTIONS, ids=str)
def test_its_state_is_json_and_gives_it_back(name, options) -> None:
    fusion = FUSIONS[name](**options)
    again = fusion_from_state(json.loads(json.dumps(fusion_to_state(fusion))))
    assert type(again) is type(fusion)
    assert again.get_params() == fusion.get_params()


@EACH
def test_output_has_the_promised_shape_and_is_finite(name, options, dims) -> None:
    for module in (build(name, options, dims), build(name, options, dims).eval()):
        for scale in (0.0, 1.0, 1e4):
            fused = module(latents(dims, scale), patterns(dims))
            assert fused.shape == (N, module.output_dim)
            assert fused.isfinite().all()
            assert fused.dtype == torch.float32


@EACH
def test_gradient_reaches_every_parameter_and_latent(name, options, dims) -> None:
    module, given = build(name, options, dims), latents(dims)
    for latent in given:
        latent.requires_grad_()
    with torch.random.fork_rng():
        torch.manual_seed(3)
        module(given, patterns(dims)).square().sum().backward()
    for key, value in [*module.named_parameters(), *enumerate(given)]:
        assert value.grad is not None, key
        assert value.grad.isfinite().all(), key
        assert value.grad.abs().max() > 0, key


@EACH
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("junk", [float("nan"), float("inf"), 1e30])
def test_a_masked_latent_has_no_influence(name, options, dims, training, junk) -> None:
    module = build(name, options, dims).train(training)
    masks, results, gradients = patterns(dims), [], []
    for fill in (0.5, junk):
        given = latents(dims)
        for latent, mask in zip(given, masks.T, strict=True):
            latent[~mask] = fill
            latent.requires_grad_()
        module.zero_grad()
        with torch.random.fork_rng():
            torch.manual_seed(3)
            results.append(module(given, masks))
        results[-1].square().sum().backward()
        gradients.append([p.grad.clone() for p in module.parameters()])
        for latent, mask in zip(given, masks.T, strict=True):
            assert not latent.grad[~mask].any()
            assert latent.grad.isfinite().all()
    assert torch.equal(*results)
    for one, two in zip(*gradients, strict=True):
        assert torch.equal(one, two)


@pytest.mark.parametrize("name", [n for n in FUSIONS if n not in ("concat", "tensor")])
def test_the_map_of_a_modality_that_is_missing_is_not_trained(name) -> None:
    # concat has no maps; the constants of tensor's are the terms without the modality
    module, masks = build(name, {}, (3, 1, 2)), torch.ones(N, 3).bool()
    masks[:, 1] = False
    module(latents((3, 1, 2)), masks).square().sum().backward()
    trained = {k: bool(p.grad.any()) for k, p in module.named_parameters()}
    assert any(trained[k] for k in trained if ".maps.2." in k)
    assert [k for k in trained if ".maps.1." in k]
    assert not any(trained[k] for k in trained if ".maps.1." in k)


@EACH
@pytest.mark.parametrize("training", [True, False])
def test_a_row_without_any_modality_is_zero(name, options, dims, training) -> None:
    module = build(name, options, dims).train(training)
    empty = torch.zeros(N, len(dims), dtype=torch.bool)
    fused = module(latents(dims), empty)
    assert not fused.any()
    mixed = patterns(dims)
    assert not quiet(module, latents(dims), mixed)[~mixed.any(dim=1)].any()
    if fused.requires_grad:
        fused.sum().backward()
        for parameter in module.parameters():
            assert parameter.grad is None or not parameter.grad.any()


@EACH
def test_the_modality_that_is_left_decides(name, options, dims) -> None:
    module, given = build(name, options, dims).eval(), latents(dims)
    only = torch.zeros(N, len(dims), dtype=torch.bool)
    only[:, 0] = True
    fused = quiet(module, given, only)
    given[0] = given[0] + 1.0
    assert not torch.equal(quiet(module, given, only), fused)


@EACH
def test_a_row_does_not_depend_on_the_rows_beside_it(name, options, dims) -> None:
    module = build(name, options, dims).eval()
    given, masks = latents(dims), patterns(dims)
    together = quiet(module, given, masks)
    alone = [
        quiet(module, [v[i : i + 1] for v in given], masks[i : i + 1]) for i in range(N)
    ]
    order = torch.randperm(N, generator=torch.Generator().manual_seed(4))
    shuffled = quiet(module, [v[order] for v in given], masks[order])
    torch.testing.assert_close(torch.cat(alone), together, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(shuffled, together[order], atol=1e-5, rtol=1e-5)


@EACH
def test_saved_weights_give_the_same_output(name, options, dims) -> None:
    module = build(name, options, dims).eval()
    other = build(name, options, dims, seed=9).eval()
    other.load_state_dict(module.state_dict())
    given, masks = latents(dims), patterns(dims)
    assert torch.equal(other(given, masks), module(given, masks))


@pytest.mark.parametrize("name", FUSIONS)
def test_no_rows_are_no_error(name) -> None:
    module = build(name, {}, (2, 3))
    empty = [torch.zeros(0, 2), torch.zeros(0, 3)]
    fused = module(empty, torch.zeros(0, 2, dtype=torch.bool))
    assert fused.shape == (0, module.output_dim)


@pytest.mark.parametrize("name", FUSIONS)
def test_what_does_not_fit_is_refused(name) -> None:
    for dims in [(3,), (), (3, 0), (3, 2.5)]:
        with pytest.raises(ParameterError, match="dims"):
            FUSIONS[name]().build(dims)
    module, masks = build(name, {}, (2, 3)), torch.ones(N, 2, dtype=torch.bool)
    good = latents((2, 3))
    with pytest.raises(DataError, match="built for 2 modalities, got 1"):
        module(good[:1], masks)
    with pytest.raises(DataError, match=r"modality 1 must have the shape \(12, 3\)"):
        module([good[0], good[0]], masks)
    with pytest.raises(DataError, match="masks must be bool"):
        module(good, masks.float())
    with pytest.raises(DataError, match="masks must be bool"):
        module(good, masks[:, :1])
    if not module.takes_tokens:
        tokens = Tokens(torch.zeros(N, 4, 3), torch.ones(N, 4, dtype=torch.bool))
        with pytest.raises(DataError, match="modality 1, got tokens"):
            module([good[0], tokens], masks)


@pytest.mark.parametrize(
    ("name", "options", "match"),
    [
        ("concat", {"missing": "zero"}, "'zeros'"),
        *((n, {"output_dim": 0}, "output_dim") for n in FUSIONS if n != "concat"),
        ("gated", {"gate": "tanh"}, "'sigmoid'"),
        ("attention", {"hidden": 0}, "hidden"),
        ("cross_attention", {"output_dim": 10}, "multiple of 4 heads"),
        ("cross_attention", {"output_dim": 1, "heads": 1}, "at least 2"),
        ("cross_attention", {"heads": 0}, "heads"),
        ("cross_attention", {"depth": 1.5}, "depth"),
        ("tensor", {"rank": 0}, "rank"),
        ("embrace", {"probabilities": [1.0]}, "sequence of 2 numbers"),
        ("embrace", {"probabilities": "ab"}, "sequence of 2 numbers"),
        ("embrace", {"probabilities": [1.0, 0.0]}, "probabilities"),
    ],
    ids=str,
)
def test_bad_options_are_refused_by_name(name, options, match) -> None:
    fusion = FUSIONS[name](**options)  # which only stores
    with pytest.raises(ParameterError, match=match) as caught:
        fusion.build((3, 2))
    assert caught.value.owner == FUSIONS[name].__name__
