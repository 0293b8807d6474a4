"""The bases of all terms."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DeepTerm", "StructuredTerm", "Term", "by_label", "with_by"]


@dataclass(frozen=True)
class Term:
    """Base of all terms; abstract."""

    @property
    def label(self) -> str:
        """Name of the term, as tables and plots show it."""
        raise TypeError(f"{type(self).__name__} is abstract")

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the table that the term reads, ``by`` included."""
        raise TypeError(f"{type(self).__name__} is abstract")


@dataclass(frozen=True)
class StructuredTerm(Term):
    """Base of the terms of the structured (interpretable) head; abstract."""


@dataclass(frozen=True)
class DeepTerm(Term):
    """Base of the terms that have an encoder; abstract."""

    @property
    def name(self) -> str:
        """Key of the term in ``encoders=`` and in batches."""
        raise TypeError(f"{type(self).__name__} is abstract")


def with_by(columns: tuple[str, ...], by: str | None) -> tuple[str, ...]:
    return columns if by is None else (*columns, by)


def by_label(label: str, by: str | None) -> str:
    return label if by is None else f"{label}:{by}"
