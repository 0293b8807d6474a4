"""data2vec for texts: from a text with gaps, predict what a teacher makes of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from semistruct.objectives import StepOutput
from semistruct.vlm._system import Batch, System, check_config
from semistruct.vlm.components import (
    EmaTeacher,
    Facts,
    LayerPrediction,
    TextTower,
    latent_regression,
    span_mask,
)

__all__ = ["Data2VecText", "Data2VecTextConfig"]


@dataclass(frozen=True)
class Data2VecTextConfig:
    """Configuration of `Data2VecText`.

    Parameters
    ----------
    text : TextTower
        Text tower.
    top : int, default=2
        Blocks of the teacher, the last ones, whose outputs are averaged.
    share : float, default=0.3
        Share of the tokens that are hidden, in (0, 1).
    span : int, default=1
        Tokens that are hidden together.
    beta : float, default=4.0
        Where the smooth L1 loss turns from square to absolute, ≥ 0.
    decay, start_decay : float, default=0.996 and 0.98
        Of the teacher at the end of the ramp and at its beginning, in [0, 1].
    ramp : int, default=500
        Steps of the ramp.
    """

    text: TextTower = field(default_factory=TextTower)
    top: int = 2
    share: float = 0.3
    span: int = 1
    beta: float = 4.0
    decay: float = 0.996
    start_decay: float = 0.98
    ramp: int = 500


class Data2VecText(System):
    """data2vec for texts: smooth L1 to averaged layers of the teacher.

    Baevski et al. (2022), doi:10.48550/arXiv.2202.03555. Differs: a small tower; hidden
    tokens are always a learned vector, never another word or the word itself; targets
    are the outputs of whole blocks, not of their feed-forwards.

    Parameters
    ----------
    network : torch.nn.Module
    config : Data2VecTextConfig
    facts : Facts

    Examples
    --------
    >>> import torch
    >>> from semistruct.vlm import Data2VecText, Data2VecTextConfig, Facts
    >>> facts = Facts(vocabulary=20, length=6)
    >>> system = Data2VecText.build(Data2VecTextConfig(), facts)
    >>> system.step({"text": torch.randint(1, 20, (4, 6))}).loss.item() > 0
    True
    """

    Config: ClassVar[type] = Data2VecTextConfig
    reads: ClassVar[tuple[str, ...]] = ("text",)

    @classmethod
    def build(cls, config: Data2VecTextConfig, facts: Facts) -> Data2VecText:
        """Make the untrained system, see `System.build`."""
        check_config(config, Data2VecTextConfig, "Data2VecText")
        tower = config.text.build(facts)
        start, ramp = config.start_decay, config.ramp
        teacher = EmaTeacher(tower, config.decay, start=start, ramp=ramp)
        return cls(LayerPrediction(tower, teacher, config.top), config, facts)

    @property
    def textual(self) -> Any:
        """Text tower of the student."""
        return self.network.tower

    def advance(self) -> None:
        """Move the teacher."""
        self.network.teacher.update(self.network.tower)

    def score(self, batch: Batch) -> StepOutput:
        """Score one batch, see `System.score`."""
        ids, config = batch["text"], self.config
        present = self.textual.present(ids)
        random = self.random(ids.device)
        mask = span_mask(present, config.share, config.span, random)
        found = self.network(LayerPrediction.Rows(ids, mask, present))
        loss = latent_regression(found.output, found.target, mask, config.beta)
        # the loss is a mean over hidden tokens, so they are its weight
        return self._output(loss, mask.sum(), regression=loss)
