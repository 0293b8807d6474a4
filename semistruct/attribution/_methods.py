"""Methods of attribution: from a module and rows to one number for each input.

Letters: n rows of the table, B rows of a call, m steps or draws, F groups of features.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from semistruct.exceptions import DependencyError, ParameterError

__all__ = [
    "grad_cam",
    "gradient_shap",
    "import_captum",
    "integrated_gradients",
    "occlusion",
    "patches",
]

_OWNER = "attribution.explain"
_HALVINGS = 6
_REFINED = 0.0005
_ROUNDING = 1e-6


def import_captum() -> Any:
    """Import ``captum.attr``; DependencyError where it is not there."""
    try:
        import captum.attr
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] != "captum":
            raise
        raise DependencyError(
            "semistruct.attribution needs captum, which is not installed. Install it "
            "with: pip install 'semistruct[attribution]'"
        ) from error
    return captum.attr


def integrated_gradients(
    outcome: nn.Module, inputs: Tensor, baseline: Tensor, *, m: int, batch_size: int
) -> Tensor:
    """Integrate the gradient along the line from a baseline (1, …) to the input.

    Gauss-Legendre with m nodes. A stretch of the line whose integral is not the
    difference of the outcome at its ends is halved, for the rows that need it, at most
    6 times. Sundararajan, Taly & Yan (2017), arXiv:1703.01365.
    """
    method = import_captum().IntegratedGradients(outcome)

    def integrate(rows: Tensor, low: float, high: float, depth: int) -> Tensor:
        line = inputs[rows] - baseline
        start, end = baseline + low * line, baseline + high * line
        found = method.attribute(end, start, None, rows, n_steps=m).detach()
        if not depth:
            return found
        with torch.no_grad():
            gap = outcome(end, rows) - outcome(start, rows)
        lacking = (found.flatten(1).sum(dim=1) - gap).abs()
        wrong = lacking > _REFINED * found.abs().flatten(1).sum(dim=1) + _ROUNDING
        if wrong.any():
            middle, own = (low + high) / 2, rows[wrong]
            found[wrong] = integrate(own, low, middle, depth - 1)
            found[wrong] += integrate(own, middle, high, depth - 1)
        return found

    parts = _chunks(inputs, batch_size // m)
    return torch.cat([integrate(rows, 0.0, 1.0, _HALVINGS) for rows in parts])


def gradient_shap(
    outcome: nn.Module,
    inputs: Tensor,
    background: Tensor,
    *,
    m: int,
    batch_size: int,
    seed: int,
) -> Tensor:
    """Average (x − b)·∇f(b + α(x − b)) over m draws of a baseline b and α in (0, 1).

    Both are stratified over the draws, so that fewer are needed. Lundberg & Lee (2017),
    arXiv:1705.07874; Erion et al. (2021), doi:10.1038/s42256-021-00343-w. Not captum's,
    which draws from the global random states.
    """
    generator = torch.Generator().manual_seed(seed)
    n, ones = len(inputs), (1,) * (inputs.ndim - 1)
    jitter = torch.rand((m, n), generator=generator)
    alphas = ((torch.arange(m)[:, None] + jitter) / m).to(inputs)
    order = torch.argsort(torch.rand((m, n), generator=generator), dim=0)
    drawn = _stratified(order, len(background), generator).to(inputs.device)
    out = []
    for rows in _chunks(inputs, batch_size // m):
        own = inputs[rows]
        start = background[drawn[:, rows]]  # (m, B, …)
        alpha = alphas[:, rows].reshape(m, len(rows), *ones)
        point = (start + alpha * (own - start)).flatten(0, 1).requires_grad_()
        value = outcome(point, rows.repeat(m))
        (slope,) = torch.autograd.grad(value.sum(), point)
        out.append(((own - start) * slope.reshape(start.shape)).mean(dim=0))
    return torch.cat(out).detach()


def _stratified(order: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Draw (m, B) numbers below ``size``, each as often as the others, or nearly."""
    m = len(order)
    rounds = [torch.randperm(size, generator=generator) for _ in range(-(-m // size))]
    return torch.cat(rounds)[:m][order]


def occlusion(
    outcome: nn.Module,
    inputs: Tensor,
    baseline: Tensor,
    groups: Tensor,
    *,
    batch_size: int,
) -> Tensor:
    """Give what the outcome loses when a group of features becomes the baseline's.

    ``groups`` (1, …) numbers the groups from 0; the loss of a group is shared evenly by
    its features. Zeiler & Fergus (2014), doi:10.1007/978-3-319-10590-1_53.
    """
    method = import_captum().FeatureAblation(outcome)
    size = torch.bincount(groups.flatten()).to(inputs.dtype)
    out = []
    for rows in _chunks(inputs, batch_size):
        at_once = max(1, batch_size // len(rows))
        lost = method.attribute(
            inputs[rows],
            baseline,
            None,
            rows,
            feature_mask=groups,
            perturbations_per_eval=min(at_once, len(size)),
        )
        out.append(lost / size[groups])
    return torch.cat(out).detach()


def patches(shape: tuple[int, ...], side: int) -> Tensor:
    """Give the numbers (1, …) of squares over the last two axes, or of features."""
    if len(shape) < 2:
        return torch.arange(shape[0])[None]
    height, width = shape[-2:]
    down, right = torch.arange(height) // side, torch.arange(width) // side
    numbers = down[:, None] * (int(right[-1]) + 1) + right
    return numbers.expand(1, *shape).contiguous()


def grad_cam(
    outcome: nn.Module,
    inputs: Tensor,
    layer: nn.Module,
    *,
    batch_size: int,
) -> Tensor:
    """Weigh the maps of a layer by their mean gradients; (n, 1, H, W).

    Negative parts are kept: they lower the outcome. Selvaraju et al. (2020),
    doi:10.1007/s11263-019-01228-7.
    """
    captum = import_captum()
    method = captum.LayerGradCam(outcome, layer)
    out = []
    for rows in _chunks(inputs, batch_size):
        own = inputs[rows].requires_grad_()
        maps = method.attribute(own, None, rows, relu_attributions=False)
        if not isinstance(maps, Tensor) or maps.ndim != 4:
            raise ParameterError(
                parameter="layer",
                owner=_OWNER,
                allowed="a layer that gives maps (B, F, h, w)",
                given=type(layer).__name__,
            )
        size = tuple(inputs.shape[-2:])
        out.append(captum.LayerAttribution.interpolate(maps, size, "bilinear"))
    return torch.cat(out).detach()


def last_convolution(encoder: nn.Module) -> nn.Module | None:
    """Find the last two-dimensional convolution of an encoder."""
    found = [part for part in encoder.modules() if isinstance(part, nn.Conv2d)]
    return found[-1] if found else None


def _chunks(inputs: Tensor, size: int) -> list[Tensor]:
    """Give the numbers of the rows, in parts of a size."""
    rows = torch.arange(len(inputs), device=inputs.device)
    return list(rows.split(max(1, size)))


def default_side(shape: tuple[int, ...]) -> int:
    """Give the side of squares so that about eight stand beside each other."""
    return max(1, int(np.ceil(max(shape[-2:]) / 8))) if len(shape) >= 2 else 1
