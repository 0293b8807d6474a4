"""Terms as text: the inverse of the parser."""

from __future__ import annotations

import keyword
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any

from semistruct._core import terms as t
from semistruct.design._signatures import (
    LITERAL_SLOTS,
    NAME_SLOTS,
    SIGNATURES,
    Signature,
)
from semistruct.exceptions import ParameterError

__all__ = ["format_terms", "join_signed", "term_to_text"]


def format_terms(terms: Iterable[t.Term]) -> str:
    """Write terms as a formula: the inverse of `parse_formula`.

    What a formula cannot hold, the neighbours of a Markov random field, is left out.

    Parameters
    ----------
    terms : iterable of Term
        The terms; `Linear` ones are moved to the front.

    Returns
    -------
    str

    Examples
    --------
    >>> from semistruct.design import format_terms, parse_formula
    >>> format_terms(parse_formula("s(x, bs='ps', k=12) + age - 1"))
    'age - 1 + s(x, k=12)'
    """
    terms = list(terms)
    first = [term_to_text(v) for v in terms if isinstance(v, t.Linear)]
    rest = [term_to_text(v) for v in terms if not isinstance(v, t.Linear)]
    signed = [
        ("-", v.lstrip()[1:].lstrip()) if v.lstrip().startswith("-") else ("+", v)
        for v in [*first, *rest]
    ]
    return join_signed(signed)


def term_to_text(term: t.Term) -> str:
    """Write one term as it stands in a formula.

    Parameters
    ----------
    term : Term
        The term.

    Returns
    -------
    str

    Examples
    --------
    >>> from semistruct._core.terms import Image
    >>> from semistruct.design import term_to_text
    >>> term_to_text(Image("left eye", encoder="cnn"))
    "image('left eye', encoder='cnn')"
    """
    if isinstance(term, t.Linear):
        return term.formula
    for name, signature in SIGNATURES.items():
        if type(term) is signature.kind and signature.matches(term):
            return f"{name}({', '.join(_arguments(term, signature))})"
    raise ParameterError(
        parameter="term", owner="term_to_text", allowed="a term", given=term
    )


def _arguments(term: t.Term, signature: Signature) -> list[str]:
    defaults = {f.name: f.default for f in fields(term)}
    written: list[str] = []
    done: set[str] = set()
    for position, slot in enumerate(signature.positional):
        name = slot.removesuffix("*")
        value = getattr(term, name)
        done.add(name)
        if position >= signature.least and value == defaults[name]:
            continue
        many = slot.endswith("*") and isinstance(value, tuple)
        values = value if many else (value,)
        written += [_write(v, name) for v in values]
    for name in signature.keywords:
        value = getattr(term, name)
        if name not in done and value != defaults[name]:
            quoted = name in NAME_SLOTS
            text = repr(value) if quoted else _write(value, name)
            written.append(f"{name}={text}")
    return written


def _write(value: Any, slot: str) -> str:
    if isinstance(value, t.Term):
        return term_to_text(value)
    if slot in LITERAL_SLOTS or not isinstance(value, str):
        return repr(value)
    plain = (
        value.isidentifier()
        and not keyword.iskeyword(value)
        and unicodedata.normalize("NFKC", value) == value
    )
    return value if plain else repr(value)


def join_signed(signed: Sequence[tuple[str, str]]) -> str:
    """Join pairs of a sign and a term: ``"-1 + x"``."""
    sign, text = signed[0]
    parts = [text if sign == "+" else f"-{text}"]
    parts += [f"{sign} {text}" for sign, text in signed[1:]]
    return " ".join(parts)
