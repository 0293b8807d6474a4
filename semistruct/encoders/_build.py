"""How a specification or a user's module becomes a module of known output."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from semistruct.encoders._base import Encoder
from semistruct.encoders._vision import Inputs
from semistruct.exceptions import ParameterError


def build_encoder(
    encoder: Encoder | nn.Module,
    input_shape: tuple[int, ...],
    moments: tuple[Any, Any] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> tuple[nn.Module, int]:
    r"""Make the module of an encoder and find the length of its latent vector.

    A user's module is copied, never changed; its output is flattened to (B, q), with q
    found by a dry run on zeros in evaluation mode. Weights of a specification are drawn
    from torch's global generator: fork and seed it around the call.

    Parameters
    ----------
    encoder : Encoder or torch.nn.Module
        Specification or module.
    input_shape : tuple of int
        Shape of one row, without the batch.
    moments : (array of shape (C,), array of shape (C,)), optional
        Mean and standard deviation by which images scaled to [0, 1] were standardised,
        as `ImageColumn` has them. With them, images come to pretrained networks
        normalised exactly as their weights expect.
    facts : dict, optional
        What the reader of the rows knows of them beside the shape, its ``facts``; an
        encoder gets those that its class attribute ``needs`` names. ``"columns"``:
        names of the p columns of a block. ``"cardinalities"``: for each of its last k
        columns, which hold codes, the number of codes. ``"vocabulary"`` and
        ``"pad_id"``: number of ids of texts, and the id of padding.

    Returns
    -------
    module : torch.nn.Module
        Maps (B, \*input_shape) to (B, q).
    output_dim : int
        q.

    Raises
    ------
    ParameterError
        When the module cannot take such rows, or does not give one vector for each; or
        the block holds codes of categories and the encoder has no embeddings of them.

    Examples
    --------
    >>> from torch import nn
    >>> from semistruct.encoders import build_encoder
    >>> module, q = build_encoder(nn.Conv2d(1, 2, 3), (1, 8, 8))
    >>> q
    72
    """
    owner = type(encoder).__name__
    if isinstance(encoder, Encoder):
        module = encoder.build(input_shape, **_needed(encoder, facts or {}))
    else:
        module = copy.deepcopy(encoder)
    if moments is not None:
        for child in module.modules():
            if isinstance(child, Inputs):
                child.tell(*moments)
    modes = {child: child.training for child in module.modules()}
    module.eval()
    try:
        with torch.no_grad():
            whole = "vocabulary" in (facts or {})  # ids, not numbers
            latent = module(_zeros(module, input_shape, whole=whole))
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        raise ParameterError(
            parameter="encoder",
            owner=owner,
            allowed=f"a module that takes (B, {', '.join(map(str, input_shape))})",
            given=encoder,
            hint=f"It failed with: {error}",
        ) from error
    for child, training in modes.items():
        child.training = training
    if not isinstance(latent, Tensor) or latent.shape[:1] != (2,):
        shape = tuple(latent.shape) if isinstance(latent, Tensor) else type(latent)
        raise ParameterError(
            parameter="encoder",
            owner=owner,
            allowed="a module with one output tensor, its first axis the rows",
            given=encoder,
            hint=f"For two rows it gave {shape}.",
        )
    if latent.ndim != 2:
        module = _Flattened(module)
    return module, latent[0].numel()


def _needed(encoder: Encoder, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Choose the facts that an encoder needs; refuse codes that it cannot read."""
    if facts.get("cardinalities") and "cardinalities" not in encoder.needs:
        names = facts.get("columns", ())[-len(facts["cardinalities"]) :]
        raise ParameterError(
            parameter="encoder",
            owner=", ".join(map(repr, names)) or "a table",
            allowed="one that has embeddings of categories: MLP, ResNetMLP or "
            "FTTransformer",
            given=encoder,
            hint="Or make these columns numeric.",
        )
    return {name: facts[name] for name in encoder.needs if name in facts}


class _Flattened(nn.Module):
    """Any module, its output as one vector for each row."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, rows: Tensor) -> Tensor:
        """Map (B, …) to (B, q)."""
        return self.module(rows).reshape(len(rows), -1)


def _zeros(module: nn.Module, input_shape: tuple[int, ...], *, whole: bool) -> Tensor:
    """Two rows of zeros, integers or not, on the module's device."""
    first = next(module.parameters(), None)
    device = None if first is None else first.device
    dtype = torch.int64 if whole else None
    return torch.zeros(2, *input_shape, device=device, dtype=dtype)
