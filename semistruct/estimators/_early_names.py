"""Names of the columns that early fusion makes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from semistruct._core.terms import PCA, DeepTerm, Fuse, Pretrained, Tabular, Term

__all__ = ["early_columns", "early_prefix", "encoded"]


def early_prefix(term: PCA | Pretrained, *, nested: bool) -> str:
    """Give what the names of a term's features begin with.

    Parameters
    ----------
    term : PCA or Pretrained
        The term.
    nested : bool
        Whether the features are the input of another encoder.

    Examples
    --------
    >>> from semistruct._core.terms import PCA, Image
    >>> from semistruct.estimators._early_names import early_prefix
    >>> early_prefix(PCA(Image("scan"), 20), nested=False)
    'pca(scan)'
    """
    name = term.label
    if isinstance(term, PCA):
        inner = term.term
        name = f"pca({inner.label if isinstance(inner, Pretrained) else inner.name})"
    return f"input {name}" if nested else name


def early_columns(term: DeepTerm, known: Sequence[str]) -> tuple[str, ...]:
    """Find the features of a term that is the input of another, among columns."""
    if not isinstance(term, PCA | Pretrained):
        return ()
    begin = early_prefix(term, nested=True) + "["
    return tuple(c for c in known if c.startswith(begin))


def encoded(term: Term, *, nested: bool = False) -> Iterator[DeepTerm]:
    """Give the terms in a term that have an encoder which a user can choose.

    What pca() is taken of has none; nor has pca() itself, unless it is ``nested`` in a
    fused term.
    """
    if not isinstance(term, DeepTerm):
        return
    if isinstance(term, PCA):
        if nested:
            yield term
        if isinstance(term.term, Pretrained):
            yield term.term
        return
    yield term
    if isinstance(term, Fuse):
        for child in term.terms:
            yield from encoded(child, nested=True)
    elif isinstance(term, Tabular):
        for name in term.names:
            if isinstance(name, DeepTerm):
                yield from encoded(name)
