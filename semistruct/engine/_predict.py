"""Prediction of any number of rows, in batches."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from semistruct.engine._scope import bounded_threads, on_device
from semistruct.engine._sources import Source
from semistruct.engine._training import resolve_device
from semistruct.engine._unreadable import warn_unreadable
from semistruct.exceptions import DataError


def predict(
    network: nn.Module,
    source: Source,
    batch_size: int = 256,
    device: str | torch.device = "auto",
) -> Any:
    """Run a network over all rows of a source, in evaluation mode.

    Parameters
    ----------
    network : torch.nn.Module
        Takes a batch, gives a tensor or a (named) tuple or dict of them. Its mode and
        device are as before afterwards.
    source : Source
        The rows; the results come in their order.
    batch_size : int, default=256
        Rows in a batch, at most. The results do not depend on it beyond rounding.
    device : str or torch.device, default="auto"
        Where it runs.

    Returns
    -------
    Tensor, tuple or dict
        As the network's output, of all rows, on the CPU and without gradients.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from semistruct.engine import TensorSource, predict
    >>> from semistruct.networks import SemiStructuredNetwork
    >>> network = SemiStructuredNetwork({"x": nn.Linear(3, 2)}, {"x": 2}, 1)
    >>> output = predict(network, TensorSource({"x": torch.ones(5, 3)}), batch_size=2)
    >>> output.latents["x"].shape
    torch.Size([5, 2])
    """
    if len(source) == 0:
        raise DataError("predict: the source has no rows.")
    target = resolve_device(device, "predict")
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        with on_device(network, target), bounded_threads(), torch.no_grad():
            outputs = [
                _map(network(batch)) for batch in source.to(target).batches(batch_size)
            ]
    finally:
        for module, training in modes.items():
            module.training = training
    warn_unreadable("predict", source)
    return _join(outputs)


def _map(output: Any) -> Any:
    """Bring tensors, however nested, to the CPU."""
    if isinstance(output, Tensor):
        return output.cpu()
    if isinstance(output, dict):
        return {key: _map(value) for key, value in output.items()}
    return _tuple_like(output, [_map(value) for value in output])


def _join(outputs: list[Any]) -> Any:
    """Concatenate tensors, however nested, along their rows."""
    first = outputs[0]
    if isinstance(first, Tensor):
        return torch.cat(outputs)
    if isinstance(first, dict):
        return {key: _join([output[key] for output in outputs]) for key in first}
    columns = zip(*outputs, strict=True)
    return _tuple_like(first, [_join(list(column)) for column in columns])


def _tuple_like(like: Any, values: list[Any]) -> Any:
    return type(like)(*values) if hasattr(like, "_fields") else type(like)(values)
