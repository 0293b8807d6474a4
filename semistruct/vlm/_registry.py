"""The systems by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from semistruct._core.validation import suggest
from semistruct.exceptions import ParameterError
from semistruct.vlm._system import System
from semistruct.vlm.systems import (
    ALIGN,
    BYOL,
    CLIP,
    DINO,
    MAE,
    Data2VecImage,
    Data2VecText,
    Florence,
    LiT,
    SimCLR,
    SwAV,
    VSEPlusPlus,
)

__all__ = ["SYSTEMS", "get_system"]

SYSTEMS: Mapping[str, type[System]] = MappingProxyType(
    {
        "align": ALIGN,
        "byol": BYOL,
        "clip": CLIP,
        "data2vec": Data2VecImage,
        "data2vec_text": Data2VecText,
        "dino": DINO,
        "florence": Florence,
        "lit": LiT,
        "mae": MAE,
        "simclr": SimCLR,
        "swav": SwAV,
        "vse++": VSEPlusPlus,
    }
)


def get_system(name: str, owner: str = "get_system") -> type[System]:
    """Look up a system.

    Parameters
    ----------
    name : str
        A key of ``SYSTEMS``.
    owner : str
        Who is named in messages.

    Returns
    -------
    type of System

    Examples
    --------
    >>> from semistruct.vlm import get_system
    >>> get_system("clip").__name__
    'CLIP'
    """
    if not isinstance(name, str) or name not in SYSTEMS:
        raise ParameterError(
            parameter="system",
            owner=owner,
            allowed="one of " + ", ".join(map(repr, SYSTEMS)),
            given=name,
            hint=suggest(str(name), SYSTEMS),
        )
    return SYSTEMS[name]
