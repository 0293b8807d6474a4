"""VSE++: each pair against the hardest wrong partner in the batch."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

from torch import nn

from semistruct.objectives import StepOutput
from semistruct.vlm._system import Batch, System, check_config
from semistruct.vlm.components import (
    ConvTower,
    DualNetwork,
    Facts,
    ImageTower,
    TextTower,
    triplet_loss,
)

__all__ = ["VSEPlusPlus", "VSEPlusPlusConfig"]


@dataclass(frozen=True)
class VSEPlusPlusConfig:
    """Configuration of `VSEPlusPlus`.

    Parameters
    ----------
    image : ConvTower or PatchTower
        Image tower.
    text : TextTower
        Text tower.
    dim : int, default=64
        Numbers of an embedding.
    margin : float, default=0.2
        By how much the right partner must be more similar, ≥ 0.
    """

    image: ImageTower = field(default_factory=partial(ConvTower, depth=3))
    text: TextTower = field(default_factory=TextTower)
    dim: int = 64
    margin: float = 0.2


class VSEPlusPlus(System):
    """VSE++: hinge loss with the hardest negative of the batch, both ways.

    Faghri, Fleet, Kiros & Fidler (2018), doi:10.48550/arXiv.1707.05612. Differs: small
    towers; the text tower is a transformer and no recurrent network.

    Parameters
    ----------
    network : torch.nn.Module
    config : VSEPlusPlusConfig
    facts : Facts

    Examples
    --------
    >>> import torch
    >>> from semistruct.vlm import VSEPlusPlus, VSEPlusPlusConfig, Facts
    >>> facts = Facts(image=(3, 16, 16), vocabulary=20, length=6)
    >>> system = VSEPlusPlus.build(VSEPlusPlusConfig(), facts)
    >>> text = torch.randint(1, 20, (4, 6))
    >>> system.step({"image": torch.rand(4, 3, 16, 16), "text": text}).n
    4
    """

    Config: ClassVar[type] = VSEPlusPlusConfig
    reads: ClassVar[tuple[str, ...]] = ("image", "text")

    @classmethod
    def build(cls, config: VSEPlusPlusConfig, facts: Facts) -> VSEPlusPlus:
        """Make the untrained system, see `System.build`."""
        check_config(config, VSEPlusPlusConfig, "VSEPlusPlus")
        image, text = config.image, config.text
        sizes = (image.features(facts), text.dim)
        heads = [nn.Linear(size, config.dim, bias=False) for size in sizes]
        network = DualNetwork(image.build(facts), text.build(facts), *heads)
        return cls(network, config, facts)

    def score(self, batch: Batch) -> StepOutput:
        """Score one batch, see `System.score`."""
        found = self.network(batch)
        loss = triplet_loss(found.image, found.text, self.config.margin)
        return self._output(loss, len(found.image), hinge=loss)
