"""The contract of a vision-language system: a configuration, a network, a loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from semistruct._core.validation import check_number, suggest
from semistruct.exceptions import ParameterError
from semistruct.objectives import Objective, StepOutput
from semistruct.vlm.components import (
    AtRest,
    ConvTower,
    Facts,
    PatchTower,
    TextTower,
    Views,
)

__all__ = ["System", "check_config", "config_from_state", "config_to_state"]

Batch = Mapping[str, Tensor]
_PARTS = MappingProxyType(
    {kind.__name__: kind for kind in (ConvTower, PatchTower, TextTower, Views)}
)


class System(Objective, ABC):
    """A network and the objective that a paper trains it on; abstract.

    A subclass has a frozen ``Config``, says what it ``reads`` and writes `build` and
    `score`. It is trained by `semistruct.engine.train`.

    Parameters
    ----------
    network : torch.nn.Module
        What predicts; has an attribute ``visual``, and ``textual`` if it reads texts.
    config : object
        The configuration, an instance of ``Config``.
    facts : Facts
        What the data say.

    Attributes
    ----------
    Config : type
        Frozen dataclass.
    reads : tuple of str
        Entries of a batch: ``"image"`` (B, C, H, W), ``"text"`` (B, L), ``"label"``
        (B,).
    """

    Config: ClassVar[type]
    reads: ClassVar[tuple[str, ...]]
    network: Any

    def __init__(self, network: nn.Module, config: Any, facts: Facts) -> None:
        super().__init__(network)
        self.config, self.facts = config, facts

    @classmethod
    @abstractmethod
    def build(cls, config: Any, facts: Facts) -> System:
        """Make the untrained system; weights come from torch's global generator.

        Parameters
        ----------
        config : object
            An instance of ``Config``.
        facts : Facts
            What the data say.

        Returns
        -------
        System
        """

    @abstractmethod
    def score(self, batch: Batch) -> StepOutput:
        """Score one batch, as `step` does, with nothing that follows changed.

        Parameters
        ----------
        batch : dict of str to Tensor
            What ``reads`` names.

        Returns
        -------
        StepOutput
        """

    def advance(self) -> None:
        """Move what follows the trained weights, such as a teacher.

        It is called before each batch in training; where several batches make a step,
        so often within it.
        """

    def step(self, batch: Batch) -> StepOutput:
        """Score one batch; in training what follows the weights moves first.

        Parameters
        ----------
        batch : dict of str to Tensor
            What ``reads`` names.

        Returns
        -------
        StepOutput
        """
        if self.training:
            self.advance()
        return self.score(batch)

    @property
    def visual(self) -> Any:
        """Image tower, from (B, C, H, W) to (B, F)."""
        return self.network.visual

    @property
    def textual(self) -> Any:
        """Text tower, from ids (B, L) to (B, F)."""
        return self.network.textual

    def start_from(self, visual: nn.Module) -> None:
        """Take over the weights of an image tower that was trained elsewhere.

        Parameters
        ----------
        visual : torch.nn.Module
            Such as ``visual`` of a system with the same image tower.

        Raises
        ------
        ParameterError
            If it is not of the same shape.
        """
        mine = self.visual.module if isinstance(self.visual, AtRest) else self.visual
        given = visual.module if isinstance(visual, AtRest) else visual
        try:
            mine.load_state_dict(given.state_dict())
        except RuntimeError as error:
            raise ParameterError(
                parameter="visual",
                owner=type(self).__name__,
                allowed="an image tower of the shape that the configuration gives",
                given=type(visual).__name__,
                hint=str(error).splitlines()[-1].strip(),
            ) from error

    def random(self, device: torch.device) -> torch.Generator | None:
        """Give what masks and views are drawn from.

        Parameters
        ----------
        device : torch.device

        Returns
        -------
        torch.Generator or None
            Torch's global one in training, which the engine seeds; in evaluation one of
            a fixed seed, so that a validation loss is the same each time.
        """
        if self.training:
            return None
        return torch.Generator(device).manual_seed(0)

    def _output(self, loss: Tensor, n: int | Tensor, **parts: Tensor) -> StepOutput:
        return StepOutput(loss, {k: v.detach() for k, v in parts.items()}, n)


_POSITIVE = ("temperature", "teacher_temperature", "epsilon", "decoder_dim", "dim")
_SHARES = ("decay", "start_decay", "share", "smoothing", "center_decay")


def check_config(config: Any, kind: type, owner: str) -> None:
    """Raise ParameterError unless a configuration is of its kind and in its ranges.

    Parameters
    ----------
    config : object
        What was given.
    kind : type
        What it must be.
    owner : str
        Who is named in messages.
    """
    if not isinstance(config, kind):
        raise ParameterError(
            parameter="config",
            owner=owner,
            allowed=f"a {kind.__name__}",
            given=config,
        )
    name = kind.__name__
    for field in fields(kind):
        value = getattr(config, field.name)
        if isinstance(value, Views):
            value.check(name)
        if field.name in _POSITIVE:
            check_number(
                value, parameter=field.name, owner=name, low=0, closed="neither"
            )
        if field.name in _SHARES:
            check_number(value, parameter=field.name, owner=name, low=0, high=1)


def config_to_state(config: Any) -> dict[str, Any]:
    """Give a configuration as JSON types.

    Parameters
    ----------
    config : dataclass
        Towers and views within it are named by their kind.

    Returns
    -------
    dict
    """
    state: dict[str, Any] = {}
    for field in fields(config):
        value = getattr(config, field.name)
        if is_dataclass(value) and not isinstance(value, type):
            value = {"kind": type(value).__name__, **asdict(value)}
        state[field.name] = value
    return state


def config_from_state(kind: type, state: Mapping[str, Any]) -> Any:
    """Make a configuration from what `config_to_state` gave.

    Parameters
    ----------
    kind : type
        The frozen dataclass.
    state : dict

    Returns
    -------
    object
    """
    given = {}
    for name, value in state.items():
        if isinstance(value, Mapping):
            options = dict(value)
            part = options.pop("kind")
            if part not in _PARTS:
                raise ParameterError(
                    parameter=name,
                    owner=kind.__name__,
                    allowed=f"one of {sorted(_PARTS)}",
                    given=part,
                    hint=suggest(part, _PARTS),
                )
            value = _PARTS[part](**options)
        given[name] = value
    return kind(**given)
