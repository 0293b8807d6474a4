"""CLIP: images and their captions find each other."""

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
    ConvTower,
    DualNetwork,
    Facts,
    ImageTower,
    TextTower,
    pair_info_nce,
)

__all__ = ["CLIP", "CLIPConfig"]

_LARGEST = math.log(100.0)  # of the log scale, as in the paper


@dataclass(frozen=True)
class CLIPConfig:
    """Configuration of `CLIP`.

    Parameters
    ----------
    image : ConvTower or PatchTower
        Image tower.
    text : TextTower
        Text tower.
    dim : int, default=64
        Numbers of an embedding.
    temperature : float, default=0.07
        τ at first, > 0; it is learned.
    """

    image: ImageTower = field(default_factory=partial(ConvTower, depth=3))
    text: TextTower = field(default_factory=TextTower)
    dim: int = 64
    temperature: float = 0.07


class CLIP(System):
    """CLIP: symmetric cross-entropy over the pairs of a batch, temperature learned.

    Radford et al. (2021), doi:10.48550/arXiv.2103.00020. Differs: small towers; a text
    is the mean of its tokens, which see one another both ways.

    Parameters
    ----------
    network : torch.nn.Module
    config : CLIPConfig
    facts : Facts

    Examples
    --------
    >>> import torch
    >>> from semistruct.vlm import CLIP, CLIPConfig, Facts
    >>> facts = Facts(image=(3, 16, 16), vocabulary=20, length=6)
    >>> system = CLIP.build(CLIPConfig(), facts)
    >>> text = torch.randint(1, 20, (4, 6))
    >>> system.step({"image": torch.rand(4, 3, 16, 16), "text": text}).n
    4
    """

    Config: ClassVar[type] = CLIPConfig
    reads: ClassVar[tuple[str, ...]] = ("image", "text")

    def __init__(self, network: nn.Module, config: Any, facts: Facts) -> None:
        super().__init__(network, config, facts)
        self.log_scale = nn.Parameter(torch.tensor(-math.log(config.temperature)))

    @classmethod
    def build(cls, config: CLIPConfig, facts: Facts) -> CLIP:
        """Make the untrained system, see `System.build`."""
        check_config(config, CLIPConfig, "CLIP")
        image, text = config.image, config.text
        sizes = (image.features(facts), text.dim)
        heads = [nn.Linear(size, config.dim, bias=False) for size in sizes]
        network = DualNetwork(image.build(facts), text.build(facts), *heads)
        return cls(network, config, facts)

    def score(self, batch: Batch) -> StepOutput:
        """Score one batch, see `System.score`."""
        found = self.network(batch)
        scale = self.log_scale.clamp(max=_LARGEST).exp()
        loss = pair_info_nce(found.image, found.text, scale)
        return self._output(loss, len(found.image), contrast=loss, scale=scale)
