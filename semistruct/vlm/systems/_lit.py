"""LiT: a text tower learns to read a locked image tower."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import torch
from torch import nn

from semistruct.objectives import StepOutput
from semistruct.vlm._system import Batch, System, check_config
from semistruct.vlm.components import (
    AtRest,
    ConvTower,
    DualNetwork,
    Facts,
    ImageTower,
    TextTower,
    pair_info_nce,
)

__all__ = ["LiT", "LiTConfig"]

_LARGEST = math.log(100.0)  # of the log scale


@dataclass(frozen=True)
class LiTConfig:
    """Configuration of `LiT`.

    Parameters
    ----------
    image : ConvTower or PatchTower
        Image tower.
    text : TextTower
        Text tower.
    temperature : float, default=0.07
        τ at first, > 0; it is learned.
    """

    image: ImageTower = field(default_factory=partial(ConvTower, depth=3))
    text: TextTower = field(default_factory=TextTower)
    temperature: float = 0.07


class LiT(System):
    """LiT: contrast with a locked image tower; the text tower maps into its space.

    Zhai et al. (2022), doi:10.1109/CVPR52688.2022.01759. Differs: small towers, and the
    image tower is what `System.start_from` gives, such as one that was trained on
    images alone; the images' features are the common space as they are.

    Parameters
    ----------
    network : torch.nn.Module
    config : LiTConfig
    facts : Facts

    Examples
    --------
    >>> import torch
    >>> from semistruct.vlm import LiT, LiTConfig, Facts
    >>> facts = Facts(image=(3, 16, 16), vocabulary=20, length=6)
    >>> system = LiT.build(LiTConfig(), facts)
    >>> text = torch.randint(1, 20, (4, 6))
    >>> system.step({"image": torch.rand(4, 3, 16, 16), "text": text}).n
    4
    """

    Config: ClassVar[type] = LiTConfig
    reads: ClassVar[tuple[str, ...]] = ("image", "text")

    def __init__(self, network: nn.Module, config: Any, facts: Facts) -> None:
        super().__init__(network, config, facts)
        self.log_scale = nn.Parameter(torch.tensor(-math.log(config.temperature)))

    @classmethod
    def build(cls, config: LiTConfig, facts: Facts) -> LiT:
        """Make the untrained system, see `System.build`."""
        check_config(config, LiTConfig, "LiT")
        image, text = config.image, config.text
        locked = AtRest(image.build(facts))
        into = nn.Linear(text.dim, image.features(facts), bias=False)
        network = DualNetwork(locked, text.build(facts), nn.Identity(), into)
        return cls(network, config, facts)

    def score(self, batch: Batch) -> StepOutput:
        """Score one batch, see `System.score`."""
        found = self.network(batch)
        scale = self.log_scale.clamp(max=_LARGEST).exp()
        loss = pair_info_nce(found.image, found.text, scale)
        return self._output(loss, len(found.image), contrast=loss, scale=scale)
