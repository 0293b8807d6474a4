"""SimCLR: two views of an image find each other among those of all others."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch.nn import functional

from semistruct.objectives import StepOutput
from semistruct.vlm._system import Batch, System, check_config
from semistruct.vlm.components import (
    ConvTower,
    Facts,
    ImageTower,
    Projected,
    ProjectionHead,
    Views,
    nt_xent,
)

__all__ = ["SimCLR", "SimCLRConfig"]


@dataclass(frozen=True)
class SimCLRConfig:
    """Configuration of `SimCLR`.

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
    temperature : float, default=0.2
        τ > 0.
    """

    image: ImageTower = field(default_factory=ConvTower)
    views: Views = field(default_factory=Views)
    hidden: int = 128
    dim: int = 64
    temperature: float = 0.2


class SimCLR(System):
    """SimCLR: normalised temperature-scaled cross-entropy over two views.

    Chen, Kornblith, Norouzi & Hinton (2020), doi:10.48550/arXiv.2002.05709. Differs: a
    small tower; views without colour distortion and blur; AdamW in the place of LARS.

    Parameters
    ----------
    network : torch.nn.Module
    config : SimCLRConfig
    facts : Facts

    Examples
    --------
    >>> import torch
    >>> from semistruct.vlm import Facts, SimCLR, SimCLRConfig
    >>> system = SimCLR.build(SimCLRConfig(), Facts(image=(1, 8, 8)))
    >>> system.step({"image": torch.rand(4, 1, 8, 8)}).n
    4
    """

    Config: ClassVar[type] = SimCLRConfig
    reads: ClassVar[tuple[str, ...]] = ("image",)

    @classmethod
    def build(cls, config: SimCLRConfig, facts: Facts) -> SimCLR:
        """Make the untrained system, see `System.build`."""
        check_config(config, SimCLRConfig, "SimCLR")
        features = config.image.features(facts)
        head = ProjectionHead(features, config.hidden, config.dim)
        return cls(Projected(config.image.build(facts), head), config, facts)

    def score(self, batch: Batch) -> StepOutput:
        """Score one batch, see `System.score`."""
        images = batch["image"]
        random, views = self.random(images.device), self.config.views
        both = torch.cat([views(images, random), views(images, random)])
        first, second = functional.normalize(self.network(both), dim=1).chunk(2)
        loss = nt_xent(first, second, self.config.temperature)
        return self._output(loss, len(images), contrast=loss)
