"""The language of terms: text to term objects.

A tokenizer splits the top level at ``+`` and ``-``. What begins with one of our names
(``s``, ``te``, ``ti``, ``re``, ``cumulative``, ``offset``, ``image``, ``text``,
``omics``, ``tabular``, ``fuse``, ``pca``, ``pretrained``) is read by Python's `ast`:
names and quoted text are columns, the rest must be literal. Everything else is
parametric.
"""

from __future__ import annotations

import ast
import re
import warnings
from typing import Any, NoReturn

from semistruct._core import terms as t
from semistruct._core.validation import suggest
from semistruct.design._allowlist import TERM_FUNCTIONS
from semistruct.design._format import join_signed
from semistruct.design._scan import MAX_LENGTH, fail, skip_group, skip_quoted
from semistruct.design._signatures import (
    LITERAL_SLOTS,
    NAME_SLOTS,
    SIGNATURES,
    TERM_SLOTS,
    Signature,
)
from semistruct.design._specification import check_term
from semistruct.design._wilkinson import parse_parametric
from semistruct.exceptions import FormulaError, ParameterError

__all__ = ["parse_formula"]

_BEGINS = re.compile(rf"({'|'.join(TERM_FUNCTIONS)})\s*\(")
_SIGNS = re.compile(r"[+\-\s]+")
_OPERATORS = {":": "an interaction", "*": "an interaction", "/": "a nested term"}


def parse_formula(text: str) -> tuple[t.Term, ...]:
    """Parse a formula to the list of terms that a user would write by hand.

    Parameters
    ----------
    text : str
        A sum of terms. Parametric ones are in Wilkinson's notation, as formulaic has
        it: columns, ``C(g)``, ``np.log(x)``, ``a:b``, ``a*b``, ``a/b``,
        ``(a + b)**2``, ``- a:b``; ``0`` and ``-1`` take the intercept out. ``.``,
        ``|``, ``~``, ``^``, ``%in%`` and the power of a single factor are refused;
        arithmetic stands inside ``I()`` or another call; allowed calls are C, I,
        np.log, np.log1p, np.exp, np.sqrt, poly, bs, cr, cc, center and scale. Column
        names that are no identifiers are quoted (in our own terms) or stand in
        backticks (anywhere).

    Returns
    -------
    tuple of Term
        One `Linear` with everything parametric first, if there is any, then the other
        terms in their order.

    Raises
    ------
    FormulaError
        With a caret at the place.

    Examples
    --------
    >>> from semistruct.design import parse_formula
    >>> for term in parse_formula("age + s(bmi, k=20) + C(stage) + image('left eye')"):
    ...     print(term)
    Linear(formula='age + C(stage)')
    Smooth(column='bmi', k=20, bs='ps', by=None, sp=None)
    Image(column='left eye', encoder=None, size=None, by=None, max_tiles=None)
    """
    if not isinstance(text, str):
        raise FormulaError(f"A formula must be a string; got {type(text).__name__}.")
    if not text.strip():
        raise FormulaError("The formula is empty; '1' is the intercept alone.")
    if len(text) > MAX_LENGTH:
        raise FormulaError(f"The formula is longer than {MAX_LENGTH} characters.")
    linear: list[tuple[str, str]] = []
    others: list[t.Term] = []
    for sign, start, stop in _split(text):
        source = text[start:stop]
        if not _BEGINS.match(source):
            if (sign, source) == ("-", "0"):
                fail("'- 0' is not in the language; write '1'.", text, start)
            parse_parametric(source, text, start)
            linear.append((sign, source))
            continue
        term = _Reader(text, start).read(sign, stop)
        if term.label in {v.label for v in others}:
            fail(f"The term {term.label} stands here twice.", text, start)
        others.append(term)
    if linear:
        return (t.Linear(join_signed(linear)), *others)
    return tuple(others)


def _split(text: str) -> list[tuple[str, int, int]]:
    """Split the top level; give sign, start and stop of each item."""
    items: list[tuple[str, int, int]] = []
    sign, start, i = "+", 0, 0

    def close(stop: int) -> None:
        body = text[start:stop]
        left = start + len(body) - len(body.lstrip())
        if body.strip():
            items.append((sign, left, left + len(body.strip())))

    while i < len(text):
        char = text[i]
        if char in "'\"`":
            i = skip_quoted(text, i)
        elif char in "([{":
            i = skip_group(text, i)
        elif char in ")]}":
            fail(f"This {char!r} closes nothing.", text, i)
        elif char in "+-":
            close(i)
            run = _SIGNS.match(text, i)
            signs = run[0] if run else char
            sign = "-" if signs.count("-") % 2 else "+"
            i += len(signs)
            start = i
        else:
            i += 1
    close(len(text))
    if not items or not text[start:].strip():
        fail("The formula ends where a term should stand.", text, len(text.rstrip()))
    return items


class _Reader:
    """Reader of one of our own terms, by `ast`."""

    def __init__(self, text: str, start: int) -> None:
        self._text = text
        self._start = start
        self._source = ""

    def read(self, sign: str, stop: int) -> t.Term:
        text, start = self._text, self._start
        name = text[start:stop].split("(", 1)[0].strip()
        if sign == "-":
            fail(f"{name}() cannot be taken out by '-'.", text, start)
        end = skip_group(text, text.index("(", start))
        rest = text[end:stop].strip()
        if rest:
            position = text.index(rest[0], end)
            if rest[0] in _OPERATORS:
                fail(
                    f"{name}() cannot stand in {_OPERATORS[rest[0]]}; write "
                    f"{name}(..., by=x) for a term that is multiplied by x or has one "
                    "part for each level of x.",
                    text,
                    position,
                )
            fail(f"{rest[0]!r} is not expected here, after {name}().", text, position)
        self._source = _backticks_to_quotes(text[start:end])
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                node = ast.parse(self._source, mode="eval").body
        except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
            offset = (getattr(error, "offset", None) or 1) - 1
            row = getattr(error, "lineno", None) or 1
            lines = self._source.split("\n")[: row - 1]
            position = start + sum(len(line) + 1 for line in lines) + offset
            why = getattr(error, "msg", None) or "too deeply nested"
            fail(f"This is not a term ({why}).", text, position)
        return self._term(node)

    def _term(self, node: ast.expr, depth: int = 0) -> t.Term:
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            self._fail(node, "Expected a term such as image(scan)")
        name = node.func.id
        if name not in SIGNATURES:
            near = suggest(name, SIGNATURES)
            self._fail(node, f"The term {name!r} is not known.{near}")
        if depth > 20:
            self._fail(node, "This is too deeply nested")
        signature = SIGNATURES[name]
        values, places = self._bind(node, name, signature, depth)
        for key, value in signature.fixed:
            values[key] = value
        column = values.get("column")
        if isinstance(column, tuple) and len(column) == 1:
            values["column"] = column[0]
        term = signature.kind(**values)
        try:
            check_term(term)
        except ParameterError as error:
            self._fail(places.get(error.parameter, node), str(error).rstrip("."))
        return term

    def _bind(
        self, node: ast.Call, name: str, signature: Signature, depth: int
    ) -> tuple[dict[str, Any], dict[str, ast.AST]]:
        values: dict[str, Any] = {}
        places: dict[str, ast.AST] = {}
        if len(node.args) < signature.least:
            what = "terms" if signature.positional[0] == "terms*" else "columns"
            count = signature.least
            word = "an argument" if count == 1 else f"at least {count} {what}"
            self._fail(node, f"{name}() needs {word}")
        slots = list(signature.positional)
        for argument in node.args:
            if isinstance(argument, ast.Starred):
                self._fail(argument, "A star is not allowed in a formula")
            if not slots:
                hint = _too_many(name)
                self._fail(argument, f"{name}() takes no more arguments here{hint}")
            slot = slots[0].removesuffix("*")
            value = self._value(argument, name, slot, depth)
            if slots[0].endswith("*"):
                values[slot] = (*values.get(slot, ()), value)
            else:
                slots.pop(0)
                values[slot] = value
            places.setdefault(slot, argument)
        for keyword_ in node.keywords:
            key = keyword_.arg
            if key is None:
                self._fail(keyword_.value, "** is not allowed in a formula")
            if key not in signature.keywords:
                known = ", ".join(signature.keywords) or "none"
                near = suggest(key, signature.keywords)
                message = f"{name}() has no argument {key!r} (it has: {known}).{near}"
                self._fail(keyword_, message)
            if key in values:
                self._fail(keyword_, f"{name}() is given {key!r} twice")
            values[key] = self._value(keyword_.value, name, key, depth)
            places[key] = keyword_.value
        return values, places

    def _value(self, node: ast.expr, owner: str, slot: str, depth: int) -> Any:
        if slot in TERM_SLOTS:
            term = self._term(node, depth + 1)
            if not isinstance(term, t.DeepTerm):
                self._fail(node, f"{owner}() takes deep terms, such as image(scan)")
            return term
        if (owner, slot) == ("tabular", "names") and isinstance(node, ast.Call):
            term = self._term(node, depth + 1)
            if not isinstance(term, t.PCA | t.Pretrained):
                self._fail(node, "tabular() takes columns, pca() and pretrained()")
            return term
        if slot in LITERAL_SLOTS:
            return self._literal(node, owner, slot)
        if isinstance(node, ast.Name):
            return node.id
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return node.value
        if isinstance(node, ast.Constant) and node.value is None and slot != "column":
            return None
        if slot == "bs" and isinstance(node, (ast.List, ast.Tuple)):
            return tuple(self._value(v, owner, slot, depth) for v in node.elts)
        kind = "a name" if slot in NAME_SLOTS else "a column name"
        return self._fail(node, f"{slot} of {owner}() must be {kind}, bare or quoted")

    def _literal(self, node: ast.expr, owner: str, slot: str) -> Any:
        if isinstance(node, (ast.List, ast.Tuple)):
            return tuple(self._literal(item, owner, slot) for item in node.elts)
        try:
            return ast.literal_eval(node)
        except (ValueError, TypeError, MemoryError, RecursionError, SyntaxError):
            self._fail(node, f"{slot} of {owner}() must be a literal value")

    def _fail(self, node: ast.AST, message: str) -> NoReturn:
        lines = self._source.split("\n")
        row = getattr(node, "lineno", 1) - 1
        offset = getattr(node, "col_offset", 0)
        column = len(lines[row].encode()[:offset].decode(errors="ignore"))
        before = sum(len(line) + 1 for line in lines[:row])
        end = "" if message.endswith(("?", ".")) else "."
        fail(message + end, self._text, self._start + before + column)


def _too_many(name: str) -> str:
    hints: dict[str, str] = {
        "offset": "; offsets are added by offset(x) + offset(z)",
        "image": "; several modalities are joined by fuse(image(a), image(b))",
    }
    return hints.get(name, "")


def _backticks_to_quotes(source: str) -> str:
    parts, i, last = [], 0, 0
    while i < len(source):
        if source[i] in "'\"":
            i = skip_quoted(source, i)
        elif source[i] == "`":
            end = skip_quoted(source, i)
            parts += [source[last:i], repr(source[i + 1 : end - 1])]
            i = last = end
        else:
            i += 1
    return "".join([*parts, source[last:]])
