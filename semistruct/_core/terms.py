"""The terms of a predictor, as frozen dataclasses: what a formula parses to.

A predictor is a sum of terms. Structured terms enter the exact path; deep terms are an
encoder, a latent vector and one additive contribution.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from semistruct._core._deep_terms import (
    PCA,
    Fuse,
    Image,
    Omics,
    Pretrained,
    Tabular,
    Text,
)
from semistruct._core._structured_terms import (
    Cumulative,
    Linear,
    Offset,
    RandomEffect,
    Smooth,
    Tensor,
)
from semistruct._core._term import DeepTerm, StructuredTerm, Term
from semistruct.exceptions import PersistenceError

__all__ = [
    "PCA",
    "Cumulative",
    "DeepTerm",
    "Fuse",
    "Image",
    "Linear",
    "Offset",
    "Omics",
    "Pretrained",
    "RandomEffect",
    "Smooth",
    "StructuredTerm",
    "Tabular",
    "Tensor",
    "Term",
    "Text",
    "term_from_state",
    "term_to_state",
    "walk",
]


def walk(term: Term) -> Iterator[Term]:
    """Give a term and the terms inside it."""
    yield term
    for f in fields(term):
        value: Any = getattr(term, f.name)
        for inner in value if isinstance(value, tuple) else (value,):
            if isinstance(inner, Term):
                yield from walk(inner)


def term_to_state(term: Term) -> dict[str, Any]:
    """Give a term as JSON types."""
    return {"kind": type(term).__name__} | {
        f.name: _value_to_state(getattr(term, f.name)) for f in fields(term) if f.init
    }


def term_from_state(state: dict[str, Any]) -> Term:
    """Rebuild a term; an unknown kind is an error, never an import."""
    kinds = {k.__name__: k for k in _KINDS}
    kind = kinds.get(str(state.get("kind")))
    if kind is None:
        raise PersistenceError(
            f"The saved model holds a term of kind {state.get('kind')!r}; known are "
            f"{', '.join(sorted(kinds))}. It may come from a newer version."
        )
    values = {k: _value_from_state(v) for k, v in state.items() if k != "kind"}
    try:
        return kind(**values)
    except TypeError as error:
        raise PersistenceError(
            f"The saved model holds a term {kind.__name__} that this version does not "
            f"know: {error}. It may come from a newer version."
        ) from error


def _value_to_state(value: Any) -> Any:
    if isinstance(value, Term):
        return term_to_state(value)
    if isinstance(value, tuple):
        return [_value_to_state(v) for v in value]
    return value


def _value_from_state(value: Any) -> Any:
    if isinstance(value, dict):
        return term_from_state(value)
    if isinstance(value, list):
        return tuple(_value_from_state(v) for v in value)
    return value


_KINDS: tuple[type[Term], ...] = (
    Cumulative,
    Fuse,
    Image,
    Linear,
    Offset,
    Omics,
    PCA,
    Pretrained,
    RandomEffect,
    Smooth,
    Tabular,
    Tensor,
    Text,
)
