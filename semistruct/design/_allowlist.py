"""The allow-list: which Python a parametric factor may hold.

A formula is data. Every factor is read by `ast` and only the calls, the arithmetic and
the literals that stand here pass; nothing else is ever evaluated.
"""

from __future__ import annotations

import ast
import copy
import difflib
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from semistruct.design._scan import fail, quote_column, skip_quoted

__all__ = [
    "ALLOWED",
    "CALLS",
    "TERM_FUNCTIONS",
    "Factor",
    "bare_factor",
    "check_factor",
    "nearest",
]

_SPLINE = ("df", "knots", "lower_bound", "upper_bound", "extrapolation")
_NUMPY = ("exp", "log", "log1p", "sqrt")
_CONTRASTS = ("SAS", "diff", "helmert", "poly", "sum", "treatment")

CALLS: Mapping[str, tuple[str, ...]] = {
    "C": ("contrasts", "levels"),
    "I": (),
    "bs": ("df", "knots", "degree", "include_intercept", *_SPLINE[2:]),
    "cc": (*_SPLINE, "constraints"),
    "center": (),
    "cr": (*_SPLINE, "constraints"),
    "poly": ("degree", "raw"),
    "scale": ("center", "scale", "ddof"),
    **{f"np.{name}": () for name in _NUMPY},
}
"""Calls that a parametric factor may make, each with its keyword arguments."""

TERM_FUNCTIONS = (
    *("cumulative", "fuse", "image", "offset", "omics", "pca", "pretrained", "re"),
    *("s", "tabular", "te", "text", "ti"),
)
"""Names that begin a smooth, random, cumulative, offset or deep term."""

ALLOWED = (
    "Allowed are column names, numbers, + - * / **, parentheses and the calls "
    + ", ".join(CALLS)
    + "."
)

_OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow)
_LARGEST_COUNT = 1000
_LARGEST_POWER = 100
_DEEPEST = 60


@dataclass(frozen=True)
class Factor:
    """One checked factor of a parametric term.

    Parameters
    ----------
    key : str
        Canonical text, as it would stand in a formula.
    text : str
        Name of the factor in tables: as ``key``, a bare column without backticks.
    columns : tuple of str
        Columns that it reads, in order.
    function : str
        ``""`` for a bare column, otherwise the outermost call (``"C"``, ``"np.log"``).
    levels : tuple or None
        Levels that ``C(g, levels=[...])`` gives.
    tree : ast.expr
        The expression; names are raw column names.
    """

    key: str
    text: str
    columns: tuple[str, ...]
    function: str = ""
    levels: tuple[Any, ...] | None = None
    tree: ast.expr = field(compare=False, repr=False, default=ast.Constant(None))

    def render(self, names: Mapping[str, str]) -> str:
        """Give the Python text of the factor with its columns renamed."""
        return ast.unparse(_Rename(names).visit(copy.deepcopy(self.tree)))


def nearest(name: str, known: tuple[str, ...]) -> str:
    """Say which known function is the nearest, ``np.`` or not."""
    tails = {k.removeprefix("np.").lower(): k for k in known}
    close = difflib.get_close_matches(name.lower(), tails, n=1, cutoff=0.6)
    return f" Did you mean {tails[close[0]]!r}?" if close else ""


def bare_factor(column: str) -> Factor:
    """Make the factor of a column that stands by itself."""
    tree = ast.Name(column, ast.Load())
    return Factor(quote_column(column), column, (column,), tree=tree)


def check_factor(source: str, text: str, start: int) -> Factor:
    """Read one call of a formula and check it against the allow-list.

    Parameters
    ----------
    source : str
        Python text of the factor, for instance ``"np.log(bmi)"``; column names that are
        no identifiers stand in backticks.
    text : str
        The whole formula, for the error.
    start : int
        Index of ``source`` in ``text``, for the error.

    Returns
    -------
    Factor

    Raises
    ------
    FormulaError
        If anything in it is not on the list.

    Examples
    --------
    >>> from semistruct.design._allowlist import check_factor
    >>> check_factor("np.log( bmi)", "np.log( bmi)", 0).text
    'np.log(bmi)'
    """
    plain, names = _replace_backticks(source, text, start)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "int is not callable" and the like
            tree = ast.parse(plain, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        column = getattr(error, "offset", None) or 1
        row = getattr(error, "lineno", None) or 1
        before = sum(len(line) + 1 for line in plain.split("\n")[: row - 1])
        why = getattr(error, "msg", None) or "too deeply nested"
        fail(f"This is not an expression ({why}).", text, start + before + column - 1)
    checker = _Checker(plain, names, text, start)
    function, levels = checker.check_top(tree)
    renamed = _Rename(names).visit(tree)
    columns = checker.columns
    quoted = {column: quote_column(column, text, start) for column in columns}
    key = ast.unparse(_Rename(quoted).visit(copy.deepcopy(renamed)))
    return Factor(key, key, columns, function, levels, renamed)


def _replace_backticks(source: str, text: str, start: int) -> tuple[str, dict]:
    names: dict[str, str] = {}
    parts, i, last = [], 0, 0
    while i < len(source):
        if source[i] in "'\"":
            i = skip_quoted(source, i)
        elif source[i] == "`":
            end = skip_quoted(source, i)
            name = source[i + 1 : end - 1]
            if not name or name.startswith("__"):
                fail("This is not a column name.", text, start + i)
            alias = f"quoted{len(names)}".ljust(end - i, "q")
            while alias in source:
                alias += "q"
            names[alias] = name
            parts += [source[last:i], alias]
            i = last = end
        else:
            i += 1
    return "".join([*parts, source[last:]]), names


class _Checker:
    """Walk of one expression; ``columns`` fills up with the names that it reads."""

    def __init__(self, plain: str, names: dict[str, str], text: str, start: int):
        self._lines = plain.split("\n")
        self._names = names
        self._text = text
        self._start = start
        self._found: dict[str, None] = {}

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(self._found)

    def check_top(self, node: ast.expr) -> tuple[str, tuple[Any, ...] | None]:
        if not isinstance(node, ast.Call):
            self._refuse(node, "This is not a call.")
        function = self._function(node)
        levels = self._call(node, function, 0)
        if not self._found:
            self._refuse(node, f"{function}() reads no column.")
        return function, levels

    def _expression(self, node: ast.expr, depth: int) -> None:
        if depth > _DEEPEST:
            self._refuse(node, "This is too deeply nested.")
        if isinstance(node, ast.Name):
            if node.id.startswith("__"):
                self._refuse(node, f"The name {node.id!r} is not allowed.")
            self._found[self._names.get(node.id, node.id)] = None
        elif isinstance(node, ast.Constant):
            if type(node.value) not in (int, float):
                self._refuse(node, f"{node.value!r} is not allowed here.")
            if not _is_finite(node.value):
                self._refuse(node, "This number is too large.")
        elif isinstance(node, ast.UnaryOp):
            if not isinstance(node.op, (ast.UAdd, ast.USub)):
                self._refuse(node, "This operator is not allowed.")
            self._expression(node.operand, depth + 1)
        elif isinstance(node, ast.BinOp):
            if not isinstance(node.op, _OPERATORS):
                self._refuse(node, "This operator is not allowed.")
            if isinstance(node.op, ast.Pow):
                self._power(node)
            self._expression(node.left, depth + 1)
            self._expression(node.right, depth + 1)
        elif isinstance(node, ast.Call):
            function = self._function(node)
            if function == "C":
                self._refuse(node, "C() cannot stand inside another call.")
            self._call(node, function, depth + 1)
        else:
            what = _CONSTRUCTS.get(type(node).__name__, "This")
            self._refuse(node, f"{what} is not allowed in a formula.")

    def _power(self, node: ast.BinOp) -> None:
        exponent: Any = node.right
        if isinstance(exponent, ast.UnaryOp):
            exponent = exponent.operand
        value: Any = exponent.value if isinstance(exponent, ast.Constant) else None
        if type(value) not in (int, float) or not abs(value) <= _LARGEST_POWER:
            allowed = f"a number of at most {_LARGEST_POWER}"
            self._refuse(node.right, f"The exponent of ** must be {allowed}.")
        if not any(isinstance(n, ast.Name) for n in ast.walk(node.left)):
            self._refuse(node.left, "The base of ** must hold a column.")

    def _function(self, node: ast.Call) -> str:
        target = node.func
        if isinstance(target, ast.Name):
            name = target.id
        elif isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
            name = f"{target.value.id}.{target.attr}"
        else:
            self._refuse(node, "Only named functions can be called.")
        if name not in CALLS:
            tail = name.removeprefix("np.").removeprefix("numpy.")
            hint = nearest(tail, (*CALLS, *TERM_FUNCTIONS))
            terms = ", ".join(TERM_FUNCTIONS)
            message = f"The function {name!r} is not known.{hint} Terms: {terms}."
            self._refuse(node, message)
        return name

    def _call(
        self, node: ast.Call, function: str, depth: int
    ) -> tuple[Any, ...] | None:
        if not node.args or isinstance(node.args[0], ast.Starred):
            self._refuse(node, f"{function}() needs a column.")
        first = node.args[0]
        if function == "C" and not isinstance(first, ast.Name):
            self._refuse(first, "C() takes a column name.")
        self._expression(first, depth + 1)
        keywords = CALLS[function]
        if len(node.args) - 1 > len(keywords):
            extra = node.args[len(keywords) + 1]
            self._refuse(extra, f"{function}() takes no argument here.")
        given: list[tuple[str, ast.expr]] = [
            (keywords[i], value) for i, value in enumerate(node.args[1:])
        ]
        for keyword in node.keywords:
            if keyword.arg is None:
                self._refuse(keyword.value, "** is not allowed in a call.")
            if keyword.arg not in keywords:
                known = nearest(keyword.arg, keywords)
                self._refuse(
                    keyword.value,
                    f"{function}() has no argument {keyword.arg!r}.{known}",
                )
            given.append((keyword.arg, keyword.value))
        levels = None
        for name, value in given:
            if name == "contrasts":
                self._contrast(value)
                continue
            literal = self._literal(value)
            if name in ("df", "degree") and not (
                type(literal) is int and 0 <= literal <= _LARGEST_COUNT
            ):
                self._refuse(
                    value, f"{name} of {function}() must be an integer, 0 to 1000."
                )
            if name == "levels":
                if not isinstance(literal, list) or not literal:
                    self._refuse(value, "levels of C() must be a list of values.")
                levels = tuple(literal)
        return levels

    def _contrast(self, node: ast.expr) -> None:
        call = node if isinstance(node, ast.Call) else None
        target = node.func if isinstance(node, ast.Call) else node
        good = (
            isinstance(target, ast.Attribute)
            and isinstance(target.value, ast.Name)
            and target.value.id == "contr"
            and target.attr in _CONTRASTS
        )
        if not good:
            names = ", ".join(f"contr.{name}" for name in _CONTRASTS)
            self._refuse(node, f"The contrasts of C() must be one of {names}.")
        if call is not None:
            for value in [*call.args, *(k.value for k in call.keywords)]:
                self._literal(value)
            for keyword in call.keywords:
                if keyword.arg not in (
                    "base",
                    "reverse",
                    "scale",
                    "backward",
                    "scores",
                ):
                    self._refuse(keyword.value, "contr has no such argument.")

    def _literal(self, node: ast.expr) -> Any:
        if isinstance(node, (ast.List, ast.Tuple)):
            return [self._literal(item) for item in node.elts]
        sign = 1
        inner = node
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.UAdd, ast.USub)):
            inner, sign = node.operand, -1 if isinstance(node.op, ast.USub) else 1
        if isinstance(inner, ast.Constant):
            value: Any = inner.value
            if inner is node and (value is None or type(value) in (bool, str)):
                return value
            if type(value) in (int, float) and _is_finite(value):
                return sign * value
        return self._refuse(node, "Arguments after the first must be literal values.")

    def _refuse(self, node: ast.AST, message: str) -> NoReturn:
        row = getattr(node, "lineno", 1) - 1
        offset = getattr(node, "col_offset", 0)
        column = len(self._lines[row].encode()[:offset].decode(errors="ignore"))
        before = sum(len(line) + 1 for line in self._lines[:row])
        fail(f"{message} {ALLOWED}", self._text, self._start + before + column)


class _Rename(ast.NodeTransformer):
    """Rename columns; the names of functions and their keywords stay."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name(self._names.get(node.id, node.id), ast.Load())

    def visit_Call(self, node: ast.Call) -> ast.Call:
        # Past the first argument there are literals and contrasts only.
        first = self.visit(node.args[0])
        return ast.Call(node.func, [first, *node.args[1:]], node.keywords)


def _is_finite(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


_CONSTRUCTS = {
    "Attribute": "An attribute",
    "Await": "await",
    "BoolOp": "A logical operator",
    "Compare": "A comparison",
    "Dict": "A dictionary",
    "DictComp": "A comprehension",
    "FormattedValue": "An f-string",
    "GeneratorExp": "A comprehension",
    "IfExp": "A condition",
    "JoinedStr": "An f-string",
    "Lambda": "A lambda",
    "List": "A list",
    "ListComp": "A comprehension",
    "NamedExpr": "An assignment",
    "Set": "A set",
    "SetComp": "A comprehension",
    "Slice": "A subscript",
    "Starred": "A star",
    "Subscript": "A subscript",
    "Tuple": "A tuple",
    "Yield": "yield",
}
