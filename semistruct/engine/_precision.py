"""Lower precision: the network in bf16 or fp16, weights and losses in fp32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from semistruct.objectives import Objective

PRECISIONS = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


@contextmanager
def lowered(
    objective: Objective, precision: str, device: torch.device
) -> Iterator[None]:
    """Run the objective's network by autocast within the block.

    What it gives comes back in fp32, so that the loss is computed in fp32.
    """
    dtype = PRECISIONS[precision]
    if dtype is None:
        yield
        return
    network = objective.network
    own, forward = vars(network).get("forward"), network.forward

    def in_lower_precision(*args: Any, **kwargs: Any) -> Any:
        with torch.autocast(device.type, dtype=dtype):
            output = forward(*args, **kwargs)
        return _full(output)

    network.forward = in_lower_precision
    try:
        yield
    finally:
        del network.forward
        if own is not None:
            network.forward = own


def make_scaler(precision: str, device: torch.device) -> torch.amp.GradScaler | None:
    """Make what keeps small gradients from vanishing in fp16."""
    return torch.amp.GradScaler(device.type) if precision == "fp16" else None


def _full(output: Any) -> Any:
    """Bring tensors, however nested, to fp32 where they are of a lower precision."""
    if isinstance(output, Tensor):
        low = output.dtype in (torch.bfloat16, torch.float16)
        return output.float() if low else output
    if isinstance(output, dict):
        return {key: _full(value) for key, value in output.items()}
    if isinstance(output, tuple | list):
        values = [_full(value) for value in output]
        named = hasattr(output, "_fields")
        return type(output)(*values) if named else type(output)(values)
    return output
