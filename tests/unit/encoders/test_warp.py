"""Named transforms against SciPy's sampling and NumPy's arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import affine_transform

from semistruct.encoders._warp import TRANSFORMS, Draw, apply, merge

SIZE = (11, 16)
NAMES = list(TRANSFORMS)


def images(n: int = 6) -> torch.Tensor:
    return torch.randn(n, 2, *SIZE, generator=torch.Generator().manual_seed(0))


def drawn(name: str, n: int = 6, strength: float = 1.0) -> Draw:
    u = torch.rand(n, TRANSFORMS[name].numbers, generator=torch.Generator())
    return TRANSFORMS[name].draw(u, SIZE, strength)


def oracle(image: np.ndarray, draw: Draw, i: int) -> np.ndarray:
    """Mirror, sample and shade one image (C, H, W), in float64."""
    image = image.astype(np.float64)
    if draw.mirror is not None:
        columns, rows = draw.mirror[i].tolist()
        image = image[:, ::-1] if rows else image
        image = image[:, :, ::-1] if columns else image
    if draw.matrix is not None:
        matrix = draw.matrix[i].numpy().astype(np.float64)[::-1, ::-1]  # 1, y, x
        turn, move = matrix[1:, 1:], matrix[1:, 0]
        centre = (np.array(SIZE) - 1) / 2
        offset = centre + move - turn @ centre
        image = np.stack(
            [affine_transform(c, turn, offset, order=1, mode="nearest") for c in image]
        )
    if draw.shade is not None:
        gain, shift = draw.shade[i].tolist()
        mean = image.mean((1, 2), keepdims=True)
        image = mean + gain * (image - mean) + shift
    return image


@pytest.mark.parametrize("strength", [1.0, 3.0])
@pytest.mark.parametrize("name", NAMES)
def test_each_image_is_transformed_by_its_own_draw(name, strength) -> None:
    draw, x = drawn(name, strength=strength), images()
    found = apply(x, draw)
    for i, image in enumerate(x.numpy()):
        np.testing.assert_allclose(found[i].numpy(), oracle(image, draw, i), atol=2e-5)
    changed = (found - x).abs().flatten(1).amax(1) > 1e-3
    assert changed.any()
    assert torch.equal(x, images())


@pytest.mark.parametrize("name", NAMES)
def test_zeros_leave_the_image_as_it_is(name) -> None:
    u = torch.zeros(1, TRANSFORMS[name].numbers)
    draw = TRANSFORMS[name].draw(u, SIZE, 1.0)
    torch.testing.assert_close(apply(images(), draw), images(), atol=1e-5, rtol=0)


def test_one_draw_serves_all_images() -> None:
    parts = [drawn("rotate", 1), drawn("jitter", 1), drawn("flip", 1)]
    one = merge(parts)
    many = Draw(*(None if p is None else p.expand(6, *p.shape[1:]) for p in one))
    torch.testing.assert_close(apply(images(), one), apply(images(), many))


def test_merged_draws_are_one_after_the_other() -> None:
    crop, turn = drawn("crop"), drawn("rotate")
    smooth = torch.linspace(-1, 1, 16).expand(6, 2, *SIZE).contiguous()
    merged = apply(smooth, merge([crop, turn]))
    apart = apply(apply(smooth, crop), turn)
    inside = (..., slice(4, 7), slice(5, 11))  # away from the border
    torch.testing.assert_close(merged[inside], apart[inside], atol=1e-4, rtol=0)
    twice = drawn("flip")
    torch.testing.assert_close(apply(images(), merge([twice, twice])), images())
    jitter = drawn("jitter")
    torch.testing.assert_close(
        apply(images(), merge([jitter, jitter])),
        apply(apply(images(), jitter), jitter),
    )


def test_the_ranges_are_those_that_are_promised() -> None:
    turns = drawn("rotate", 2000).matrix
    angles = torch.rad2deg(torch.atan2(turns[:, 1, 0], turns[:, 0, 0]))
    assert angles.abs().max() <= 15
    assert angles.min() < -14
    assert angles.max() > 14
    sides = drawn("crop", 2000).matrix[:, 0, 0]
    assert 0.75 <= sides.min() < 0.76
    assert 0.99 < sides.max() <= 1
    assert drawn("flip", 2000).mirror[:, 0].float().mean() == pytest.approx(
        0.5, abs=0.05
    )
    shades = drawn("jitter", 2000).shade
    assert (shades[:, 0] - 1).abs().max() <= 0.25
    assert shades[:, 1].abs().max() <= 0.25
    assert drawn("randaugment", 2000, strength=3.0).shade[:, 0].min() > 0


def test_a_window_of_a_crop_lies_within_the_image() -> None:
    matrix = drawn("crop", 500, strength=3.0).matrix
    corners = torch.tensor([[-8.0, -5.5, 1], [8.0, 5.5, 1]]).T
    x, y, _ = (matrix @ corners).unbind(1)
    assert x.abs().max() <= 8 + 1e-4
    assert y.abs().max() <= 5.5 + 1e-4
