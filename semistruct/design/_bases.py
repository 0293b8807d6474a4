"""The registry of bases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from semistruct.design._basis import Basis
from semistruct.design._cubic import CubicSpline
from semistruct.design._cyclic import CyclicSpline
from semistruct.design._markov import MarkovField
from semistruct.design._monotone import MonotoneDecreasing, MonotoneIncreasing
from semistruct.design._p_spline import PSpline
from semistruct.design._thin_plate import ThinPlate

__all__ = ["BASES", "basis_from_state"]

BASES: dict[str, type[Basis]] = {
    basis.name: basis
    for basis in (
        PSpline,
        CubicSpline,
        CyclicSpline,
        ThinPlate,
        MarkovField,
        MonotoneIncreasing,
        MonotoneDecreasing,
    )
}
"""Bases by the name that ``bs=`` takes; P-splines are the default."""


def basis_from_state(state: Mapping[str, Any]) -> Basis:
    """Make a basis of any registered kind from its state."""
    return BASES[state["name"]].from_state(state)
