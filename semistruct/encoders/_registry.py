"""Names of encoders, and how a specification or a user's module becomes an encoder."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn

from semistruct._core.terms import DeepTerm, Image, Omics, Tabular
from semistruct._core.validation import suggest
from semistruct.encoders._base import Encoder
from semistruct.encoders._cnn import CNN
from semistruct.encoders._mlp import MLP
from semistruct.exceptions import ParameterError

ENCODERS: Mapping[str, type[Encoder]] = MappingProxyType({"cnn": CNN, "mlp": MLP})

_DEFAULTS: dict[type[DeepTerm], str] = {Image: "cnn", Omics: "mlp", Tabular: "mlp"}


def get_encoder(
    encoder: str | Encoder | nn.Module | None, term: DeepTerm
) -> Encoder | nn.Module:
    """Find the encoder of a deep term.

    Parameters
    ----------
    encoder : str, Encoder, torch.nn.Module or None
        Name of a registered encoder, a specification or a module (both given back as
        they are), or None for the default of the kind of term.
    term : DeepTerm
        The term, for the default and for messages.

    Returns
    -------
    Encoder or torch.nn.Module

    Raises
    ------
    ParameterError
        When the name is not known; the message names the nearest.
    NotImplementedError
        When nothing is given and no encoder is built for the kind of term.

    Examples
    --------
    >>> from semistruct._core.terms import Image
    >>> from semistruct.encoders import get_encoder
    >>> get_encoder(None, Image("scan"))
    CNN()
    """
    if encoder is None:
        if type(term) not in _DEFAULTS:
            raise NotImplementedError(
                f"{term.label} has no encoder of its own yet; give a torch module by "
                f"encoders={{{term.name!r}: …}}."
            )
        encoder = _DEFAULTS[type(term)]
    if isinstance(encoder, Encoder | nn.Module):
        return encoder
    if isinstance(encoder, str) and encoder in ENCODERS:
        return ENCODERS[encoder]()
    known = ", ".join(repr(name) for name in ENCODERS)
    raise ParameterError(
        parameter="encoder",
        owner=term.label,
        allowed=f"one of {known}, an Encoder object or a torch.nn.Module",
        given=encoder,
        hint=suggest(encoder, ENCODERS) if isinstance(encoder, str) else "",
    )


def build_encoder(
    encoder: Encoder | nn.Module, input_shape: tuple[int, ...]
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

    Returns
    -------
    module : torch.nn.Module
        Maps (B, \*input_shape) to (B, q).
    output_dim : int
        q.

    Raises
    ------
    ParameterError
        When the module cannot take such rows, or does not give one vector for each.

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
        module = encoder.build(input_shape)
    else:
        module = copy.deepcopy(encoder)
    modes = {child: child.training for child in module.modules()}
    module.eval()
    try:
        with torch.no_grad():
            latent = module(_zeros(module, input_shape))
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


class _Flattened(nn.Module):
    """Any module, its output as one vector for each row."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, rows: Tensor) -> Tensor:
        """Map (B, …) to (B, q)."""
        return self.module(rows).reshape(len(rows), -1)


def _zeros(module: nn.Module, input_shape: tuple[int, ...]) -> Tensor:
    """Two rows of zeros, on the module's device."""
    first = next(module.parameters(), None)
    device = None if first is None else first.device
    return torch.zeros(2, *input_shape, device=device)
