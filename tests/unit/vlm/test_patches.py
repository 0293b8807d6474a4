"""Patches, positions, masks, views."""

from __future__ import annotations

import math

import pytest
import torch

from semistruct.exceptions import ParameterError
from semistruct.vlm.components import (
    ModalityEmbedding,
    PatchEmbed,
    Views,
    block_mask,
    patch_grid,
    patchify,
    random_mask,
    sincos_positions,
    span_mask,
    unpatchify,
)


@pytest.fixture(autouse=True)
def _seed():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def test_patchify_pixel_by_pixel():
    x = torch.randn(2, 3, 5, 4)  # 5 is filled up to 6
    found = patchify(x, (2, 2))
    assert found.shape == (2, 6, 12)
    for r in range(3):
        for c in range(2):
            for i in range(2):
                for j in range(2):
                    at = found[:, r * 2 + c, (i * 2 + j) * 3 : (i * 2 + j) * 3 + 3]
                    row = 2 * r + i
                    expected = x[:, :, row, 2 * c + j] if row < 5 else 0 * at
                    torch.testing.assert_close(at, expected)


@pytest.mark.parametrize(
    ("size", "patch"),
    [((7,), (3,)), ((4, 6), (2, 3)), ((5, 4, 3), (2, 2, 2))],
)
def test_patches_go_back_and_embeddings_are_linear_in_them(size, patch):
    x = torch.randn(2, 3, *size)
    patches = patchify(x, patch)
    assert patches.shape[1] == math.prod(patch_grid(size, patch))
    assert torch.equal(unpatchify(patches, size, patch), x)
    embed = PatchEmbed(3, patch, 6)
    weight = embed.project.weight.movedim(1, -1).flatten(1)  # channels last
    expected = patches @ weight.T + embed.project.bias
    torch.testing.assert_close(embed(x), expected, atol=1e-5, rtol=1e-5)


def test_positions_number_by_number():
    found = sincos_positions((2, 3), 9)  # 2 axes, 2 frequencies each, one left
    for r in range(2):
        for c in range(3):
            expected = []
            for place in (r, c):
                angles = [place * 10000 ** (-j / 2) for j in range(2)]
                expected += [math.sin(a) for a in angles]
                expected += [math.cos(a) for a in angles]
            torch.testing.assert_close(found[r * 3 + c], torch.tensor([*expected, 0.0]))


def test_modality_embedding():
    module = ModalityEmbedding(["image", "text"], 4)
    x = torch.randn(2, 3, 4)
    torch.testing.assert_close(module(x, "text"), x + module.vectors["text"])
    with pytest.raises(ParameterError, match="Did you mean 'text'"):
        module(x, "txt")


@pytest.mark.parametrize(
    "make",
    [lambda g: random_mask(50, 12, 0.6, g), lambda g: block_mask(50, (3, 4), 0.6, g)],
)
def test_masks_hide_the_same_number_and_follow_the_generator(make):
    first = make(torch.Generator().manual_seed(1))
    assert (first.sum(dim=1) == 7).all()
    assert torch.equal(first, make(torch.Generator().manual_seed(1)))
    assert not torch.equal(first, make(torch.Generator().manual_seed(2)))
    assert first.any(dim=0).all()  # each place is hidden at times


def test_extreme_shares_leave_something_hidden_and_something_seen():
    assert (random_mask(4, 5, 0.01).sum(dim=1) == 1).all()
    assert (block_mask(4, (5,), 0.99).sum(dim=1) == 4).all()


def edges(mask: torch.Tensor) -> float:
    """Neighbours of which one is hidden and the other is not."""
    down = (mask[:, 1:] != mask[:, :-1]).float().mean()
    across = (mask[:, :, 1:] != mask[:, :, :-1]).float().mean()
    return float(down + across)


def test_blocks_have_shorter_borders_than_random_masks():
    blocks = block_mask(200, (8, 8), 0.4).view(200, 8, 8)
    scattered = random_mask(200, 64, 0.4).view(200, 8, 8)
    assert edges(blocks) < 0.6 * edges(scattered)


def test_a_first_block_is_a_rectangle():
    """With a small share one block is cut: hidden places lie within its box."""
    mask = block_mask(100, (8, 8), 4 / 64).view(100, 8, 8)
    assert (mask.flatten(1).sum(dim=1) == 4).all()
    for row in mask:
        places = row.nonzero()
        extent = places.max(dim=0).values - places.min(dim=0).values + 1
        assert (extent <= 6).all()  # at most three quarters of a side


def test_spans_respect_padding_and_share():
    present = torch.arange(20) < torch.tensor([20, 10, 3, 1, 0])[:, None]
    mask = span_mask(present, 0.4, span=3, generator=torch.Generator().manual_seed(0))
    assert not (mask & ~present).any()
    assert mask.sum(dim=1).tolist() == [8, 4, 1, 1, 0]


def test_spans_are_runs():
    present = torch.ones(300, 30, dtype=torch.bool)
    runs = {}
    for span in (1, 5):
        mask = span_mask(present, 0.3, span=span)
        starts = mask[:, :1].long().sum() + (mask[:, 1:] & ~mask[:, :-1]).sum()
        runs[span] = float(mask.sum() / starts)
    assert runs[5] > 2 * runs[1]


def test_views_of_no_strength_are_the_images():
    still = Views(0, 0, 0, 0, 0, 0, 0)
    x = torch.randn(4, 2, 7, 9)
    torch.testing.assert_close(still(x), x, atol=1e-5, rtol=1e-5)


def test_a_shift_moves_the_content():
    """One pixel at the centre of mass, moved by the share that was drawn."""
    x = torch.zeros(64, 1, 9, 9)
    x[:, :, 4, 4] = 1.0
    views = Views(0, shift=0.2, scale=0, shear=0, contrast=0, brightness=0, noise=0)
    found = views(x, torch.Generator().manual_seed(0))
    place = torch.arange(9.0)
    column = (found.sum(dim=2)[:, 0] * place).sum(dim=1) / found.sum(dim=(1, 2, 3))
    u = 2 * torch.rand(64, 10, generator=torch.Generator().manual_seed(0)) - 1
    torch.testing.assert_close(column, 4 - 9 * 0.2 * u[:, 3], atol=1e-4, rtol=0)


def test_flip_contrast_and_brightness():
    x = torch.rand(200, 1, 4, 4)
    flip = Views(0, 0, 0, 0, 0, 0, 0, flip=True)(x)
    same = (flip - x).abs().amax(dim=(1, 2, 3)) < 1e-4
    mirrored = (flip - x.flip(3)).abs().amax(dim=(1, 2, 3)) < 1e-4
    assert (same ^ mirrored).all()
    assert 60 < mirrored.sum() < 140
    bright = Views(0, 0, 0, 0, 0.0, 0.5, 0)(x) - x
    assert bright.flatten(1).std(dim=1).max() < 1e-4
    assert 0.3 < bright.abs().max() <= 0.5
    sharp = Views(0, 0, 0, 0, 0.5, 0.0, 0)(x)
    torch.testing.assert_close(sharp.mean(dim=(1, 2, 3)), x.mean(dim=(1, 2, 3)))
    ratio = sharp.flatten(1).std(dim=1) / x.flatten(1).std(dim=1)
    assert ratio.min() >= 0.49
    assert ratio.max() <= 1.51


def test_erase_takes_a_square():
    x = torch.randn(30, 1, 8, 8)
    found = Views(0, 0, 0, 0, 0, 0, 0, erase=0.5)(x)
    gone = (found - x.mean(dim=(1, 2, 3), keepdim=True)).abs() < 1e-6
    assert (gone.flatten(1).sum(dim=1) == 16).all()


@pytest.mark.parametrize(
    ("make", "parameter"),
    [
        (lambda: PatchEmbed(1, (2, 2, 2, 2), 4), "patch"),
        (lambda: PatchEmbed(1, (0,), 4), "patch"),
        (lambda: sincos_positions((2, 2, 2), 5), "dim"),
        (lambda: random_mask(2, 4, 1.0), "share"),
        (lambda: block_mask(2, (2, 2), 0.0), "share"),
        (lambda: span_mask(torch.ones(1, 4, dtype=torch.bool), 0.5, 0), "span"),
        (lambda: Views(scale=1.0).check("test"), "scale"),
        (lambda: Views(rotate=-1.0).check("test"), "rotate"),
    ],
)
def test_bad_options_are_named(make, parameter):
    with pytest.raises(ParameterError, match=f"'{parameter}'"):
        make()
