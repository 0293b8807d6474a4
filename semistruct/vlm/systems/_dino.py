"""DINO: a student learns the soft clusters of its own average."""

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
    PrototypeHead,
    Views,
    gather_rows,
    soft_cross_entropy,
)

__all__ = ["DINO", "DINOConfig"]


@dataclass(frozen=True)
class DINOConfig:
    """Configuration of `DINO`.

    Parameters
    ----------
    image : ConvTower or PatchTower
        Image tower.
    views : Views
        How views are made.
    hidden : int, default=128
        Hidden units of the head.
    dim : int, default=64
        Numbers before the prototypes.
    prototypes : int, default=64
        Clusters.
    temperature : float, default=0.1
        Of the student, > 0.
    teacher_temperature : float, default=0.04
        Of the teacher, > 0; lower, which keeps the clusters apart.
    decay : float, default=0.98
        Of the teacher, in [0, 1].
    center_decay : float, default=0.9
        Of the mean that is taken off the teacher's logits, in [0, 1].
    """

    image: ImageTower = field(default_factory=ConvTower)
    views: Views = field(default_factory=Views)
    hidden: int = 128
    dim: int = 64
    prototypes: int = 64
    temperature: float = 0.1
    teacher_temperature: float = 0.04
    decay: float = 0.98
    center_decay: float = 0.9


class _Network(nn.Module):
    """Student, and teacher with its centre."""

    center: Tensor

    def __init__(self, student: Projected, config: DINOConfig) -> None:
        super().__init__()
        self.student = student
        self.teacher = EmaTeacher(student, config.decay)
        self.register_buffer("center", torch.zeros(config.prototypes))

    @property
    def visual(self) -> nn.Module:
        """Image tower of the student."""
        return self.student.visual

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Give the student's and the teacher's logits, (B, K) each."""
        return self.student(images), self.teacher(images)


class DINO(System):
    """DINO: self-distillation with a centred and sharpened teacher.

    Caron et al. (2021), doi:10.1109/ICCV48922.2021.00951. Differs: a small tower; two
    views and no multi-crop; constant temperatures and decay.

    Parameters
    ----------
    network : torch.nn.Module
    config : DINOConfig
    facts : Facts

    Examples
    --------
    >>> import torch
    >>> from semistruct.vlm import DINO, DINOConfig, Facts
    >>> system = DINO.build(DINOConfig(), Facts(image=(1, 8, 8)))
    >>> system.step({"image": torch.rand(4, 1, 8, 8)}).n
    4
    """

    Config: ClassVar[type] = DINOConfig
    reads: ClassVar[tuple[str, ...]] = ("image",)

    @classmethod
    def build(cls, config: DINOConfig, facts: Facts) -> DINO:
        """Make the untrained system, see `System.build`."""
        check_config(config, DINOConfig, "DINO")
        hidden = config.hidden
        head = nn.Sequential(
            *(nn.Linear(config.image.features(facts), hidden), nn.GELU()),
            *(nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, config.dim)),
            PrototypeHead(config.dim, config.prototypes),
        )
        student = Projected(config.image.build(facts), head)
        return cls(_Network(student, config), config, facts)

    def advance(self) -> None:
        """Move the teacher."""
        self.network.teacher.update(self.network.student)

    def score(self, batch: Batch) -> StepOutput:
        """Score one batch, see `System.score`."""
        images, config = batch["image"], self.config
        random, views = self.random(images.device), config.views
        both = torch.cat([views(images, random), views(images, random)])
        student, teacher = self.network(both)
        center = self.network.center
        target = ((teacher - center) / config.teacher_temperature).softmax(dim=1)
        other = torch.cat(target.chunk(2)[::-1])
        loss = soft_cross_entropy(student / config.temperature, other)
        if self.training:
            mean = gather_rows(teacher.detach()).mean(dim=0)
            center.lerp_(mean.to(center.dtype), 1 - config.center_decay)
        spread = -(target * target.clamp_min(1e-12).log()).sum(dim=1).mean()
        return self._output(loss, len(images), distillation=loss, entropy=spread)
