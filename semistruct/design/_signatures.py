"""How the call of each term is read and written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from semistruct._core import terms as t

__all__ = ["LITERAL_SLOTS", "NAME_SLOTS", "SIGNATURES", "TERM_SLOTS", "Signature"]


@dataclass(frozen=True)
class Signature:
    """How the call of a term is read and written."""

    kind: type[t.Term]
    positional: tuple[str, ...]  # fields; one that ends in * takes all the rest
    keywords: tuple[str, ...]
    least: int = 1
    fixed: tuple[tuple[str, Any], ...] = ()

    def matches(self, term: t.Term) -> bool:
        return all(getattr(term, name) == value for name, value in self.fixed)


_SMOOTH = ("k", "bs", "by", "sp")
_TENSOR = (*_SMOOTH, "np")
_INTERACTION = (("interaction", True),)
SIGNATURES: dict[str, Signature] = {
    "s": Signature(t.Smooth, ("column*",), _SMOOTH),
    "te": Signature(
        t.Tensor, ("names*",), _TENSOR, least=2, fixed=(("interaction", False),)
    ),
    "ti": Signature(t.Tensor, ("names*",), _TENSOR, least=2, fixed=_INTERACTION),
    "re": Signature(t.RandomEffect, ("group", "slope"), ("sp",)),
    "cumulative": Signature(
        t.Cumulative, ("column",), ("k", "lag", "lead", "times", "time", "sp")
    ),
    "offset": Signature(t.Offset, ("column",), ()),
    "image": Signature(t.Image, ("column",), ("encoder", "size", "by", "max_tiles")),
    "text": Signature(
        t.Text, ("column",), ("encoder", "by", "vocabulary", "max_length")
    ),
    "omics": Signature(t.Omics, ("names*",), ("encoder", "by")),
    "tabular": Signature(t.Tabular, ("names*",), ("encoder", "by")),
    "fuse": Signature(
        t.Fuse,
        ("terms*",),
        ("how", "by", "head", "dropout", "modality_dropout"),
        least=2,
    ),
    "pca": Signature(t.PCA, ("term", "n_components"), ("n_components",)),
    "pretrained": Signature(t.Pretrained, ("encoder", "column"), (), least=2),
}
"""Calls of the language, by name."""

NAME_SLOTS = ("bs", "encoder", "how", "head")
"""Arguments that are names of something else than a column."""

TERM_SLOTS = ("term", "terms")
"""Arguments that are terms."""

LITERAL_SLOTS = (
    *("k", "lag", "lead", "np", "sp", "size", "n_components"),
    *("times", "max_tiles", "vocabulary", "max_length", "dropout"),
    "modality_dropout",
)
"""Arguments that are literal values; all others are names."""
