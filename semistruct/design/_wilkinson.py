"""The parametric part of a formula: sums and interactions of checked factors.

The operators are those of Wilkinson and Rogers (1973, doi:10.2307/2346786), as
formulaic has them: ``a + b``, ``a - b`` (take out), ``a:b`` (interaction), ``a*b``
(``a + b + a:b``), ``a/b`` (``a + a:b``), ``(a + b)**2`` (all interactions up to second
order). ``0`` and ``-1`` take the intercept out. The operators ``.``, ``|``, ``~``,
``^`` and ``%in%`` are refused, and so is the power of a single factor, which would be
the factor itself: arithmetic stands inside ``I()``.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from semistruct.design._allowlist import (
    ALLOWED,
    TERM_FUNCTIONS,
    Factor,
    bare_factor,
    check_factor,
)
from semistruct.design._scan import fail, skip_group, skip_quoted

__all__ = ["Parametric", "parse_parametric"]

_WORD = re.compile(r"[^\W\d][\w.]*")
_NUMBER = re.compile(r"\d[\w.]*")
_SPACE = re.compile(r"\s*")
_MOST_TERMS = 20_000
_DEEPEST = 50

_REFUSED = {
    "~": "A formula has no left side: y goes to fit(X, y).",
    "=": "A formula has no left side and no '=' outside a call.",
    "|": "The operator '|' is not in the language.",
    "%": "The operator '%' is not in the language.",
    "^": "The operator '^' is not in the language; write **.",
    ".": "'.' does not stand for all columns; name them.",
    "[": "A subscript is not allowed.",
    "{": "Braces are not allowed; write I(...).",
    "'": "Quoted text is no parametric term; column names stand in backticks.",
    '"': "Quoted text is no parametric term; column names stand in backticks.",
    "<": "A comparison is not allowed.",
    ">": "A comparison is not allowed.",
}

_Terms = dict[frozenset[str], tuple[str, ...]]  # ordered set of products of factors


@dataclass(frozen=True)
class Parametric:
    """A parsed parametric formula.

    Parameters
    ----------
    terms : tuple of tuple of str
        Each term as the keys of its factors; the intercept is not among them.
    factors : Mapping of str to Factor
        Factors by key (their canonical text).
    intercept : bool
        Whether the formula has an intercept.
    columns : tuple of str
        Columns that the formula reads, in order of first appearance.
    """

    terms: tuple[tuple[str, ...], ...]
    factors: Mapping[str, Factor]
    intercept: bool
    columns: tuple[str, ...]


def parse_parametric(
    source: str, text: str | None = None, start: int = 0
) -> Parametric:
    """Read a parametric formula, each factor checked against the allow-list.

    Parameters
    ----------
    source : str
        The formula, for instance ``"age + C(stage)"``.
    text : str, optional
        A longer formula that ``source`` stands in, for the errors.
    start : int, default=0
        Index of ``source`` in ``text``.

    Returns
    -------
    Parametric

    Raises
    ------
    FormulaError
        With a caret at the place.

    Examples
    --------
    >>> from semistruct.design._wilkinson import parse_parametric
    >>> parse_parametric("a*C(g) - 1").terms
    (('a',), ('C(g)',), ('a', 'C(g)'))
    """
    parser = _Parser(source, source if text is None else text, start)
    terms, intercept = parser.parse()
    used = {key for term in terms.values() for key in term}
    factors = {key: f for key, f in parser.factors.items() if key in used}
    columns = dict.fromkeys(c for f in factors.values() for c in f.columns)
    return Parametric(tuple(terms.values()), factors, intercept, tuple(columns))


class _Parser:
    """Recursive descent over the operators, lowest first."""

    def __init__(self, source: str, text: str, start: int) -> None:
        self._source = source
        self._text = text
        self._start = start
        self._i = 0
        self._depth = 0
        self.factors: dict[str, Factor] = {}

    def parse(self) -> tuple[_Terms, bool]:
        terms, intercept = self._sum(top=True)
        if self._peek():
            self._unexpected()
        return terms, intercept

    def _sum(self, top: bool) -> tuple[_Terms, bool]:
        terms: _Terms = {}
        intercept = True
        sign = self._sign() or "+"
        while True:
            number = _NUMBER.match(self._source, self._position())
            if number:
                intercept = self._number(number[0], sign, top)
            else:
                for key, factors in self._product().items():
                    if sign == "+":
                        terms.setdefault(key, factors)
                    else:
                        terms.pop(key, None)
            sign = self._sign()
            if not sign:
                return terms, intercept

    def _number(self, number: str, sign: str, top: bool) -> bool:
        if number not in ("0", "1") or not top or (number, sign) == ("0", "-"):
            hint = "scale a column inside I(), quote a name in backticks"
            self._fail(f"Only the numbers 0 and 1 stand by themselves; {hint}.")
        self._i += 1
        return (number, sign) == ("1", "+")

    def _sign(self) -> str:
        sign = ""
        while self._peek() in ("+", "-"):
            minus = (sign == "-") != (self._peek() == "-")
            sign = "-" if minus else "+"
            self._i += 1
        return sign

    def _product(self) -> _Terms:
        left = self._interaction()
        while self._peek() in ("*", "/"):
            operator = self._peek()
            if self._source.startswith("**", self._i):
                self._fail("The power must follow a sum in parentheses.")
            self._i += 1
            right = self._interaction()
            if operator == "*":
                left = self._union(self._union(left, right), self._cross(left, right))
            else:
                keys = tuple(dict.fromkeys(itertools.chain(*left.values())))
                common = {frozenset(keys): keys}
                left = self._union(left, self._cross(common, right))
        return left

    def _interaction(self) -> _Terms:
        left = self._power()
        while self._peek() == ":":
            self._i += 1
            left = self._cross(left, self._power())
        return left

    def _power(self) -> _Terms:
        base = self._atom()
        if self._peek() != "*" or not self._source.startswith("**", self._i):
            return base
        operator = self._i
        self._i += 2
        number = _NUMBER.match(self._source, self._position())
        power = int(number[0]) if number and number[0].isdecimal() else 0
        if not number or not 1 <= power <= 10:
            self._fail("The power must be an integer, 1 to 10.")
        if len(base) == 1:
            self._i = operator
            key = ":".join(next(iter(base.values())))
            self._fail(
                f"{key}**{power} would be {key} itself; write I({key}**{power}) "
                "for the arithmetic."
            )
        self._i = number.end()
        result = base
        for _ in range(power - 1):
            result = self._cross(result, base)
        return result

    def _atom(self) -> _Terms:
        char = self._peek()
        begin = self._i
        if char == "(":
            self._i += 1
            self._depth += 1
            if self._depth > _DEEPEST:
                self._fail("This is too deeply nested.")
            terms, _ = self._sum(top=False)
            if self._peek() != ")":
                self._unexpected()
            self._depth -= 1
            self._i += 1
            return terms
        if char == "`":
            end = skip_quoted(self._text, self._start + begin) - self._start
            return self._add(bare_factor(self._column(begin + 1, end - 1)), end)
        word = _WORD.match(self._source, begin)
        if not word:
            self._unexpected()
        end = word.end()
        if self._source[end : end + 1] == "(":
            if word[0] in TERM_FUNCTIONS:
                self._misplaced(word[0])
            end = skip_group(self._text, self._start + end) - self._start
            source = self._source[begin:end]
            return self._add(check_factor(source, self._text, self._start + begin), end)
        return self._add(bare_factor(self._column(begin, end)), end)

    def _column(self, begin: int, end: int) -> str:
        name = self._source[begin:end]
        if not name or name.startswith("__") or "`" in name:
            self._i = begin
            self._fail(f"The name {name!r} is not allowed. {ALLOWED}")
        return name

    def _add(self, factor: Factor, end: int) -> _Terms:
        self.factors.setdefault(factor.key, factor)
        self._i = end
        return {frozenset((factor.key,)): (factor.key,)}

    def _union(self, left: _Terms, right: _Terms) -> _Terms:
        return {**left, **{k: v for k, v in right.items() if k not in left}}

    def _cross(self, left: _Terms, right: _Terms) -> _Terms:
        if len(left) * len(right) > _MOST_TERMS:
            self._fail(f"This has more than {_MOST_TERMS} terms.")
        products: _Terms = {}
        for a, b in itertools.product(left.values(), right.values()):
            keys = tuple(dict.fromkeys((*a, *b)))
            products.setdefault(frozenset(keys), keys)
        return products

    def _position(self) -> int:
        match = _SPACE.match(self._source, self._i)
        self._i = match.end() if match else self._i
        return self._i

    def _peek(self) -> str:
        position = self._position()
        return self._source[position : position + 1]

    def _misplaced(self, name: str) -> NoReturn:
        self._fail(
            f"{name}() is a term by itself: it cannot stand in parentheses or be "
            f"combined by ':', '*' or '/'. For an interaction write {name}(..., by=x)."
        )

    def _unexpected(self) -> NoReturn:
        char = self._peek()
        if not char:
            self._fail("The formula ends where a term should stand.")
        if char in _REFUSED:
            allowed = "" if char in "~=" else f" {ALLOWED}"
            self._fail(_REFUSED[char] + allowed)
        if char == "(":
            self._fail("A parenthesis must follow its function without a space.")
        self._fail(f"{char!r} is not expected here. {ALLOWED}")

    def _fail(self, message: str) -> NoReturn:
        fail(message, self._text, self._start + self._position())
