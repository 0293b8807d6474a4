"""BYOL: predict what a slowly moving teacher sees in another view."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from semistruct.objectives import StepOutput
from semistruct.vlm._system import Batch, System, check_config
from semistruct.vlm.components import (
    ConvTower,
    EmaTeacher,
    Facts,
    ImageTower,
    Projected,
    ProjectionHead,
    Views,
    cosine_regression,
)

__all__ = ["BYOL", "BYOLConfig"]


@dataclass(frozen=True)
class BYOLConfig:
    """Configuration of `BYOL`.

    Parameters
    ----------
    image : ConvTower or PatchTower
        Image tower.
    views : Views
        How views are made.
    hidden : int, default=128
        Hidden units of projection and prediction.
    dim : int, default=64
        Numbers of a projection.
    decay : float, default=0.98
        Of the teacher, in [0, 1].
    """

    image: ImageTower = field(default_factory=ConvTower)
    views: Views = field(default_factory=Views)
    hidden: int = 128
    dim: int = 64
    decay: float = 0.98


class _Network(nn.Module):
    """Student with its predictor, and teacher."""

    def __init__(self, student: Projected, config: BYOLConfig) -> None:
        super().__init__()
        self.student = student
        self.predictor = ProjectionHead(config.dim, config.hidden, config.dim)
        self.teacher = EmaTeacher(student, config.decay, as_student=True)

    @property
    def visual(self) -> nn.Module:
        """Image tower of the student."""
        return self.student.visual

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Give the student's prediction and the teacher's projection, (B, d) each."""
        return self.predictor(self.student(images)), self.teacher(images)


class BYOL(System):
    """BYOL: regression on a teacher's projection, both ways.

    Grill et al. (2020), doi:10.48550/arXiv.2006.07733. Differs: a small tower; the
    teacher's decay is constant, and lower, since training is short; views without
    colour distortion and blur; AdamW in the place of LARS.

    Parameters
    ----------
    network : torch.nn.Module
    config : BYOLConfig
    facts : Facts

    Examples
    --------
    >>> import torch
    >>> from semistruct.vlm import BYOL, BYOLConfig, Facts
    >>> system = BYOL.build(BYOLConfig(), Facts(image=(1, 8, 8)))
    >>> system.step({"image": torch.rand(4, 1, 8, 8)}).n
    4
    """

    Config: ClassVar[type] = BYOLConfig
    reads: ClassVar[tuple[str, ...]] = ("image",)

    @classmethod
    def build(cls, config: BYOLConfig, facts: Facts) -> BYOL:
        """Make the untrained system, see `System.build`."""
        check_config(config, BYOLConfig, "BYOL")
        features = config.image.features(facts)
        head = ProjectionHead(features, config.hidden, config.dim)
        student = Projected(config.image.build(facts), head)
        return cls(_Network(student, config), config, facts)

    def advance(self) -> None:
        """Move the teacher."""
        self.network.teacher.update(self.network.student)

    def score(self, batch: Batch) -> StepOutput:
        """Score one batch, see `System.score`."""
        images = batch["image"]
        random, views = self.random(images.device), self.config.views
        both = torch.cat([views(images, random), views(images, random)])
        predicted, target = self.network(both)
        loss = cosine_regression(predicted, torch.cat(target.chunk(2)[::-1]))
        return self._output(loss, len(images), regression=loss)
