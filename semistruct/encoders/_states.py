"""Specifications of encoders to JSON types and back."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from semistruct.encoders._augment import Augment
from semistruct.encoders._base import Encoder
from semistruct.encoders._pathway import groups_of
from semistruct.encoders._registry import ENCODERS
from semistruct.exceptions import PersistenceError

__all__ = ["encoder_from_state", "encoder_to_state", "untrained"]


class _NoStateError(Exception):
    """A parameter is a module, a callable or something else that is code."""


def encoder_to_state(encoder: Any) -> dict[str, Any] | None:
    """Give an encoder's name and parameters, encoders within it among them.

    Parameters
    ----------
    encoder : Encoder or torch.nn.Module
        Specification or module.

    Returns
    -------
    dict or None
        JSON types; None where the encoder, or a part of it, is code of the user's.

    Examples
    --------
    >>> from semistruct.encoders import MLP, encoder_from_state, encoder_to_state
    >>> state = encoder_to_state(MLP(hidden=(8, 8)))
    >>> state["name"], state["params"]["hidden"]
    ('mlp', [8, 8])
    >>> encoder_from_state(state)
    MLP(hidden=(8, 8))
    """
    try:
        return _encoder(encoder)
    except _NoStateError:
        return None


def encoder_from_state(state: dict[str, Any]) -> Encoder:
    """Make the specification from what `encoder_to_state` gave.

    Parameters
    ----------
    state : dict
        JSON types.

    Returns
    -------
    Encoder

    Raises
    ------
    PersistenceError
        If the encoder is not known.
    """
    if state["name"] not in ENCODERS:
        raise PersistenceError(
            f"The saved model uses the encoder {state['name']!r}; known are "
            f"{', '.join(ENCODERS)}. It may come from a newer version."
        )
    params = {name: _restored(value) for name, value in state["params"].items()}
    return ENCODERS[state["name"]](**params)


def untrained(encoder: Any) -> Any:
    """Give the specification without its pretrained weights.

    The module has the same shape: it is for filling in weights that were saved, so that
    loading a model neither fetches nor needs the weights that training began from.

    Parameters
    ----------
    encoder : Encoder or torch.nn.Module
        A module is given back as it is.

    Returns
    -------
    Encoder or torch.nn.Module

    Examples
    --------
    >>> from semistruct.encoders import PatchBag, ResNet, untrained
    >>> untrained(PatchBag(ResNet(weights="DEFAULT")))
    PatchBag(encoder=ResNet())
    """
    if not isinstance(encoder, Encoder):
        return encoder
    names = [name for name in encoder.get_params() if name.split("__")[-1] == "weights"]
    return clone(encoder).set_params(**dict.fromkeys(names))


def _encoder(encoder: Any) -> dict[str, Any]:
    name = next((n for n, cls in ENCODERS.items() if type(encoder) is cls), None)
    if name is None:
        raise _NoStateError
    params = encoder.get_params(deep=False).items()
    return {"name": name, "params": {k: _plain(v) for k, v in params}}


def _plain(value: Any) -> Any:
    if isinstance(value, Encoder):
        return {"$encoder": _encoder(value)}
    if isinstance(value, Augment):
        params = value.get_params(deep=False).items()
        return {"$augment": {k: _plain(v) for k, v in params}}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, pd.DataFrame):  # a mask of groups: genes × groups
        value = groups_of(value)
    if isinstance(value, Mapping) and all(isinstance(k, str) for k in value):
        return {"$dict": {k: _plain(v) for k, v in value.items()}}
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if value is None or isinstance(value, bool | int | float | str | np.generic):
        return value
    raise _NoStateError


def _restored(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_restored(v) for v in value)
    if isinstance(value, dict) and "$encoder" in value:
        return encoder_from_state(value["$encoder"])
    if isinstance(value, dict) and "$augment" in value:
        params = value["$augment"].items()
        return Augment(**{k: _restored(v) for k, v in params})
    if isinstance(value, dict) and "$dict" in value:
        return {k: _restored(v) for k, v in value["$dict"].items()}
    return value
