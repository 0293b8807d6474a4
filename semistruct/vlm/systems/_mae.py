"""MAE: draw the hidden patches of an image from the visible ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from semistruct.objectives import StepOutput
from semistruct.vlm._system import Batch, System, check_config
from semistruct.vlm.components import (
    Facts,
    PatchModule,
    PatchTower,
    Transformer,
    latent_regression,
    patchify,
    random_mask,
    sincos_positions,
)

__all__ = ["MAE", "MAEConfig"]


@dataclass(frozen=True)
class MAEConfig:
    """Configuration of `MAE`.

    Parameters
    ----------
    image : PatchTower
        Image tower.
    decoder_dim : int, default=32
        Width of the decoder's tokens, a multiple of ``decoder_heads``.
    decoder_depth : int, default=1
        Blocks of the decoder.
    decoder_heads : int, default=4
        Heads of the decoder.
    share : float, default=0.5
        Share of the patches that are hidden, in (0, 1). The paper's 0.75 is for images
        of many patches.
    normalize : bool, default=False
        Whether each patch is standardised by its own mean and spread before it is
        compared, as in the paper's best variant.
    """

    image: PatchTower = field(default_factory=partial(PatchTower, patch=2, pool="flat"))
    decoder_dim: int = 32
    decoder_depth: int = 1
    decoder_heads: int = 4
    share: float = 0.5
    normalize: bool = False


class _Hidden(NamedTuple):
    images: Tensor  # (B, C, H, W)
    mask: Tensor  # (B, N), True where hidden


class _Network(nn.Module):
    """Encoder of the visible patches, decoder of all."""

    positions: Tensor

    def __init__(self, visual: PatchModule, config: MAEConfig, pixels: int) -> None:
        super().__init__()
        self.visual = visual
        dim = config.decoder_dim
        self.enter = nn.Linear(config.image.dim, dim)
        self.hidden = nn.Parameter(torch.randn(dim) * 0.02)
        grid = sincos_positions(visual.grid, dim)
        self.register_buffer("positions", grid, persistent=False)
        depth, heads = config.decoder_depth, config.decoder_heads
        self.decoder = Transformer(dim, depth, heads)
        self.pixels = nn.Linear(dim, pixels)

    def forward(self, rows: _Hidden) -> Tensor:
        """Give all patches, (B, N, pixels), from those that are not hidden."""
        visual, mask = self.visual, rows.mask
        B, N = mask.shape
        # the visible ones first, in their order; each row has as many
        order = mask.long().argsort(dim=1, stable=True)
        seen = int((~mask[0]).sum())
        tokens = visual.tokens(rows.images) + visual.positions
        kept = order[:, :seen, None].expand(-1, -1, tokens.shape[2])
        known = self.enter(visual.transformer(tokens.gather(1, kept)))
        filler = self.hidden.to(known.dtype).expand(B, N - seen, -1)
        back = order.argsort(dim=1)[:, :, None].expand(-1, -1, known.shape[2])
        whole = torch.cat([known, filler], dim=1).gather(1, back)
        return self.pixels(self.decoder(whole + self.positions))


class MAE(System):
    """Masked autoencoder: mean squared error of the hidden patches.

    He et al. (2022), doi:10.1109/CVPR52688.2022.01553. Differs: a small tower without a
    class token, its features the mean of all tokens; fewer patches are hidden.

    Parameters
    ----------
    network : torch.nn.Module
    config : MAEConfig
    facts : Facts

    Examples
    --------
    >>> import torch
    >>> from semistruct.vlm import MAE, Facts, MAEConfig
    >>> system = MAE.build(MAEConfig(), Facts(image=(1, 8, 8)))
    >>> system.step({"image": torch.rand(4, 1, 8, 8)}).n
    4
    """

    Config: ClassVar[type] = MAEConfig
    reads: ClassVar[tuple[str, ...]] = ("image",)

    @classmethod
    def build(cls, config: MAEConfig, facts: Facts) -> MAE:
        """Make the untrained system, see `System.build`."""
        check_config(config, MAEConfig, "MAE")
        pixels = facts.channels * config.image.patch**2
        return cls(_Network(config.image.build(facts), config, pixels), config, facts)

    def score(self, batch: Batch) -> StepOutput:
        """Score one batch, see `System.score`."""
        images, config = batch["image"], self.config
        target = patchify(images, self.visual.patch)  # (B, N, pixels)
        if config.normalize:
            spread, mean = torch.var_mean(target, dim=2, keepdim=True, correction=0)
            target = (target - mean) / (spread + 1e-6).sqrt()
        B, N, device = *target.shape[:2], images.device
        mask = random_mask(B, N, config.share, self.random(device), device)
        output = self.network(_Hidden(images, mask))
        loss = latent_regression(output, target, mask)
        return self._output(loss, len(images), square=loss)
