"""data2vec for images: from a part, predict what a teacher makes of the whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

from semistruct.objectives import StepOutput
from semistruct.vlm._system import Batch, System, check_config
from semistruct.vlm.components import (
    EmaTeacher,
    Facts,
    LayerPrediction,
    PatchTower,
    block_mask,
    latent_regression,
)

__all__ = ["Data2VecImage", "Data2VecImageConfig"]


@dataclass(frozen=True)
class Data2VecImageConfig:
    """Configuration of `Data2VecImage`.

    Parameters
    ----------
    image : PatchTower
        Image tower.
    top : int, default=2
        Blocks of the teacher, the last ones, whose outputs are averaged.
    share : float, default=0.5
        Share of the patches that are hidden, in (0, 1).
    beta : float, default=1.0
        Where the smooth L1 loss turns from square to absolute, ≥ 0.
    decay, start_decay : float, default=0.996 and 0.98
        Of the teacher at the end of the ramp and at its beginning, in [0, 1].
    ramp : int, default=500
        Steps of the ramp.
    """

    image: PatchTower = field(default_factory=partial(PatchTower, patch=2, pool="flat"))
    top: int = 2
    share: float = 0.5
    beta: float = 1.0
    decay: float = 0.996
    start_decay: float = 0.98
    ramp: int = 500


class Data2VecImage(System):
    """data2vec for images: smooth L1 to averaged layers of the teacher.

    Baevski et al. (2022), doi:10.48550/arXiv.2202.03555. Differs: a small tower without
    a class token; targets are the outputs of whole blocks, not of their feed-forwards,
    and are normalised over the tokens, as the paper does for speech: normalised over
    the numbers of a token, they hold little but its place.

    Parameters
    ----------
    network : torch.nn.Module
    config : Data2VecImageConfig
    facts : Facts

    Examples
    --------
    >>> import torch
    >>> from semistruct.vlm import Data2VecImage, Data2VecImageConfig, Facts
    >>> system = Data2VecImage.build(Data2VecImageConfig(), Facts(image=(1, 8, 8)))
    >>> system.step({"image": torch.rand(4, 1, 8, 8)}).n
    4
    """

    Config: ClassVar[type] = Data2VecImageConfig
    reads: ClassVar[tuple[str, ...]] = ("image",)

    @classmethod
    def build(cls, config: Data2VecImageConfig, facts: Facts) -> Data2VecImage:
        """Make the untrained system, see `System.build`."""
        check_config(config, Data2VecImageConfig, "Data2VecImage")
        tower = config.image.build(facts)
        start, ramp = config.start_decay, config.ramp
        teacher = EmaTeacher(tower, config.decay, start=start, ramp=ramp)
        network = LayerPrediction(tower, teacher, config.top, axis=1)
        return cls(network, config, facts)

    @property
    def visual(self) -> Any:
        """Image tower of the student."""
        return self.network.tower

    def advance(self) -> None:
        """Move the teacher."""
        self.network.teacher.update(self.network.tower)

    def score(self, batch: Batch) -> StepOutput:
        """Score one batch, see `System.score`."""
        images, device = batch["image"], batch["image"].device
        grid, random = self.visual.grid, self.random(device)
        mask = block_mask(len(images), grid, self.config.share, random, device)
        found = self.network(LayerPrediction.Rows(images, mask))
        loss = latent_regression(found.output, found.target, mask, self.config.beta)
        return self._output(loss, len(images), regression=loss)
