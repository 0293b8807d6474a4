"""SwAV: predict the cluster of one view from the other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from semistruct.objectives import StepOutput
from semistruct.vlm._system import Batch, System, check_config
from semistruct.vlm.components import (
    ConvTower,
    Facts,
    ImageTower,
    Projected,
    ProjectionHead,
    PrototypeHead,
    Queue,
    Views,
    gather_rows,
    sinkhorn,
    soft_cross_entropy,
)

__all__ = ["SwAV", "SwAVConfig"]


@dataclass(frozen=True)
class SwAVConfig:
    """Configuration of `SwAV`.

    Parameters
    ----------
    image : ConvTower or PatchTower
        Image tower.
    views : Views
        How views are made.
    hidden : int, default=128
        Hidden units of the projection head.
    dim : int, default=64
        Numbers of a projection.
    prototypes : int, default=48
        Clusters.
    temperature : float, default=0.1
        Of the softmax over clusters, > 0.
    epsilon : float, default=0.05
        Entropy of the assignment, > 0.
    queue : int, default=0
        Earlier projections that take part in the assignment; 0 for none.
    """

    image: ImageTower = field(default_factory=ConvTower)
    views: Views = field(default_factory=Views)
    hidden: int = 128
    dim: int = 64
    prototypes: int = 48
    temperature: float = 0.1
    epsilon: float = 0.05
    queue: int = 0


class _Network(nn.Module):
    """Projections and their cosines with the prototypes."""

    def __init__(self, projected: Projected, config: SwAVConfig) -> None:
        super().__init__()
        self.projected = projected
        self.prototypes = PrototypeHead(config.dim, config.prototypes)

    @property
    def visual(self) -> nn.Module:
        """Image tower."""
        return self.projected.visual

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Give projections (B, d) and cosines (B, K)."""
        rows = functional.normalize(self.projected(images), dim=1)
        return rows, self.prototypes(rows)


class SwAV(System):
    """SwAV: swapped prediction between balanced assignments to prototypes.

    Caron et al. (2020), doi:10.48550/arXiv.2006.09882. Differs: a small tower; two
    views and no multi-crop; the prototypes learn from the first step on; AdamW.

    Parameters
    ----------
    network : torch.nn.Module
    config : SwAVConfig
    facts : Facts

    Examples
    --------
    >>> import torch
    >>> from semistruct.vlm import Facts, SwAV, SwAVConfig
    >>> system = SwAV.build(SwAVConfig(queue=8), Facts(image=(1, 8, 8)))
    >>> system.step({"image": torch.rand(4, 1, 8, 8)}).n
    4
    """

    Config: ClassVar[type] = SwAVConfig
    reads: ClassVar[tuple[str, ...]] = ("image",)

    @classmethod
    def build(cls, config: SwAVConfig, facts: Facts) -> SwAV:
        """Make the untrained system, see `System.build`."""
        check_config(config, SwAVConfig, "SwAV")
        features = config.image.features(facts)
        head = ProjectionHead(features, config.hidden, config.dim)
        network = _Network(Projected(config.image.build(facts), head), config)
        system = cls(network, config, facts)
        system.queue = Queue(config.queue, config.dim) if config.queue else None
        return system

    queue: Queue | None

    def score(self, batch: Batch) -> StepOutput:
        """Score one batch, see `System.score`."""
        images = batch["image"]
        random, views = self.random(images.device), self.config.views
        both = torch.cat([views(images, random), views(images, random)])
        rows, cosines = self.network(both)
        # each view predicts what the other one is assigned to
        assigned = [self._assign(part) for part in cosines.detach().chunk(2)[::-1]]
        loss = soft_cross_entropy(
            cosines / self.config.temperature, torch.cat(assigned)
        )
        if self.queue is not None and self.training:
            self.queue.push(gather_rows(rows.detach()))
        return self._output(loss, len(images), swapped=loss)

    def _assign(self, cosines: Tensor) -> Tensor:
        n, held = len(cosines), None if self.queue is None else self.queue.rows
        if held is not None and len(held):
            earlier = self.network.prototypes(held).detach()
            cosines = torch.cat([cosines, earlier])
        return sinkhorn(cosines, self.config.epsilon)[:n]
