"""Characters of a formula: quotes, parentheses, and errors that point with a caret."""

from __future__ import annotations

import keyword
import re
import unicodedata
from typing import NoReturn

from semistruct.exceptions import FormulaError

__all__ = ["MAX_LENGTH", "fail", "quote_column", "skip_group", "skip_quoted"]

MAX_LENGTH = 200_000
"""Longest formula, in characters."""

_WINDOW = 70
_CLOSERS = {"(": ")", "[": "]", "{": "}"}
_WORD = re.compile(r"[^\W\d]\w*")


def quote_column(name: str, text: str | None = None, position: int = 0) -> str:
    """Write a column name as it stands in a parametric term.

    Parameters
    ----------
    name : str
        Column name.
    text, position : str and int, optional
        Formula and place for the error.

    Returns
    -------
    str
        The name, in backticks unless it is an identifier.

    Raises
    ------
    FormulaError
        If the name is empty, begins with two underscores or holds a backtick.

    Examples
    --------
    >>> from semistruct.design import quote_column
    >>> quote_column("age"), quote_column("left eye")
    ('age', '`left eye`')
    """
    if not name or name.startswith("__") or "`" in name:
        shown = repr(name) if text is None else text
        fail(f"The column name {name!r} cannot stand in a formula.", shown, position)
    plain = (
        _WORD.fullmatch(name)
        and not keyword.iskeyword(name)
        and unicodedata.normalize("NFKC", name) == name
    )
    return name if plain else f"`{name}`"


def fail(message: str, text: str, position: int) -> NoReturn:
    """Raise a FormulaError that shows the formula and points at a character.

    Parameters
    ----------
    message : str
        What is wrong and what to do.
    text : str
        The formula, as the user wrote it.
    position : int
        Index of the character to point at; at most ``len(text)``.
    """
    position = max(0, min(position, len(text)))
    start = text.rfind("\n", 0, position) + 1
    stop = text.find("\n", position)
    stop = len(text) if stop < 0 else stop
    left = max(start, position - _WINDOW)
    right = min(stop, position + _WINDOW)
    before = "…" if left > start else ""
    after = "…" if right < stop else ""
    shown = before + text[left:right].replace("\t", " ") + after
    caret = " " * (len(before) + position - left) + "^"
    raise FormulaError(f"{message}\n    {shown}\n    {caret}") from None


def skip_quoted(text: str, position: int) -> int:
    """Give the index after the quoted text or backticked name that starts here."""
    quote = text[position]
    i = position + 1
    while i < len(text):
        if text[i] == "\\" and quote != "`":
            i += 2
            continue
        if text[i] == quote:
            return i + 1
        i += 1
    kind = "backtick" if quote == "`" else "quote"
    fail(f"This {kind} is never closed.", text, position)


def skip_group(text: str, position: int) -> int:
    """Give the index after the parenthesis, bracket or brace that closes this one."""
    stack: list[tuple[str, int]] = []
    i = position
    while i < len(text):
        char = text[i]
        if char in "'\"`":
            i = skip_quoted(text, i)
            continue
        if char in _CLOSERS:
            stack.append((_CLOSERS[char], i))
        elif char in ")]}":
            expected, opened = stack.pop()
            if char != expected:
                message = f"This {char!r} does not close {text[opened]!r}."
                fail(message, text, i)
            if not stack:
                return i + 1
        i += 1
    fail(f"This {text[stack[-1][1]]!r} is never closed.", text, stack[-1][1])
