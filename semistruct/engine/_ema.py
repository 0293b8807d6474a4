"""An exponential moving average of the weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Ema:
    """Average of the floating-point parameters and buffers of a module.

    After step t: a ← d a + (1 − d) w with d = min(decay, (1 + t) / (10 + t)), so that
    the first weights are soon forgotten. Integer buffers are not averaged.

    Parameters
    ----------
    module : torch.nn.Module
        Its tensors are looked at in place; they must not be replaced.
    decay : float
        In (0, 1).
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay, self.steps = decay, 0
        named = module.state_dict().items()  # shares its memory with the module
        live = {
            k: v for k, v in named if isinstance(v, Tensor) and v.is_floating_point()
        }
        self._names, self._live = list(live), list(live.values())
        self._shadow = [v.clone() for v in self._live]

    @torch.no_grad()
    def update(self) -> None:
        """Take the weights after a step into the average."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(self._shadow, self._live, 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Put the average in the place of the weights within the block."""
        with torch.no_grad():
            kept = [v.clone() for v in self._live]
            torch._foreach_copy_(self._live, self._shadow)
            try:
                yield
            finally:
                torch._foreach_copy_(self._live, kept)

    def to_state(self) -> dict[str, object]:
        """Give the average by name, and the steps in it."""
        shadow = dict(zip(self._names, self._shadow, strict=True))
        return {"steps": self.steps, "shadow": shadow}

    def load_state(self, state: dict) -> None:
        """Go on from what `to_state` gave."""
        self.steps = int(state["steps"])
        for name, average in zip(self._names, self._shadow, strict=True):
            average.copy_(state["shadow"][name])
