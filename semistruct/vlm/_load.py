"""Fitted estimators from disk."""

from __future__ import annotations

import os

from semistruct._core.persistence import read_state
from semistruct.exceptions import PersistenceError
from semistruct.vlm._dual_encoder import DualEncoder
from semistruct.vlm._estimator import SystemEstimator
from semistruct.vlm._self_supervised import SelfSupervised

__all__ = ["load"]

_KINDS: dict[str, type[SystemEstimator]] = {
    kind.__name__: kind for kind in (DualEncoder, SelfSupervised)
}


def load(folder: str | os.PathLike[str]) -> SystemEstimator:
    """Load what ``save`` of an estimator of this room wrote.

    Parameters
    ----------
    folder : path-like

    Returns
    -------
    SelfSupervised or DualEncoder
        Predicts as the saved one did.

    Raises
    ------
    PersistenceError
        If the folder holds no saved model of this room.

    Examples
    --------
    >>> from semistruct.vlm import load
    >>> model = load("pairs")  # doctest: +SKIP
    """
    state = read_state(folder)
    name = state.get("estimator")
    if name not in _KINDS:
        raise PersistenceError(
            f"{folder} holds a {name}, and semistruct.vlm.load reads "
            f"{' and '.join(sorted(_KINDS))}. Use semistruct.load for other estimators."
        )
    return _KINDS[name]._from_state(state)
