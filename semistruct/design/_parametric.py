"""Parametric terms as columns of the design, by formulaic.

Formulaic evaluates the texts of checked factors, columns renamed to ``column0_``, …,
in an environment of these columns and the allow-listed functions, and nothing else.
"""

from __future__ import annotations

import copy
import re
import types
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import pandas as pd
from formulaic import ModelSpec
from formulaic import transforms as ft
from formulaic.errors import FormulaicError
from formulaic.formula import SimpleFormula
from formulaic.materializers import PandasMaterializer
from formulaic.parser.types import Factor as FormulaicFactor
from formulaic.parser.types import Term as FormulaicTerm
from formulaic.utils.layered_mapping import LayeredMapping

from semistruct.design._allowlist import Factor
from semistruct.design._columns import Levels, is_numeric, read_numeric, select
from semistruct.design._scan import quote_column
from semistruct.design._wilkinson import Parametric, parse_parametric
from semistruct.exceptions import DataError, FormulaError, shown

__all__ = ["ParametricPart"]

_ALIAS = "column"
_NUMPY = types.SimpleNamespace(exp=np.exp, log=np.log, log1p=np.log1p, sqrt=np.sqrt)
_FUNCTIONS: Mapping[str, Any] = {
    "C": ft.C,
    "I": ft.identity,
    "bs": ft.basis_spline,
    "cc": ft.cyclic_cubic_spline,
    "center": ft.center,
    "contr": ft.ContrastsRegistry,
    "cr": ft.natural_cubic_spline,
    "np": _NUMPY,
    "poly": ft.poly,
    "scale": ft.scale,
}


class ParametricPart:
    """The fitted parametric part: intercept first, then terms by their order.

    Categorical columns (text, categories, and what stands in ``C()``) are coded against
    their first level unless the formula has no intercept; booleans are 0 and 1.

    Parameters
    ----------
    formula : str
        Parametric formula.
    intercept : bool
        False: the coding is as with an intercept, and its column is dropped.
    levels : dict of str to Levels
        Levels of the categorical columns.
    numeric : frozenset of str
        Columns that are read as numbers.
    """

    def __init__(
        self,
        formula: str,
        intercept: bool,
        levels: dict[str, Levels],
        numeric: frozenset[str],
    ) -> None:
        self.formula = formula
        self.intercept = intercept
        self.levels = levels
        self.numeric = numeric
        self.transform_state: dict[str, Any] = {}
        self.names: tuple[str, ...] = ()
        self.spans: tuple[tuple[str, int, int, tuple[str, ...]], ...] = ()

    @classmethod
    def fit(
        cls,
        formula: str,
        frame: pd.DataFrame,
        intercept: bool,
        crossed: str | None = None,
    ) -> tuple[ParametricPart, np.ndarray]:
        """Fit the part; give it and its columns of shape (n, p).

        Where ``frame`` holds the values of the column ``crossed``, but not their
        combinations with other columns, interactions with it may be constant.
        """
        parsed = parse_parametric(formula)
        levels: dict[str, Levels] = {}
        numeric: set[str] = set()
        for factor in parsed.factors.values():
            for column in factor.columns:
                _classify(factor, column, frame, levels, numeric)
        part = cls(formula, intercept, levels, frozenset(numeric))
        spec, values = part._evaluate(frame, parsed, {})
        part.transform_state = copy.deepcopy(spec.transform_state)
        part._name(spec, parsed)
        values = part._drop(values)
        part._check_constant(values, parsed, crossed)
        return part, values

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the table that it reads."""
        return parse_parametric(self.formula).columns

    def matrix(self, frame: pd.DataFrame) -> np.ndarray:
        """Give the columns of a table of n rows, of shape (n, p)."""
        parsed = parse_parametric(self.formula)
        _, values = self._evaluate(frame, parsed, copy.deepcopy(self.transform_state))
        return self._drop(values)

    def _evaluate(
        self, frame: pd.DataFrame, parsed: Parametric, state: dict[str, Any]
    ) -> tuple[ModelSpec, np.ndarray]:
        aliases = _aliases(parsed)
        owners: dict[str, str] = {}
        for factor in parsed.factors.values():
            owners.update({c: factor.text for c in factor.columns if c not in owners})
        plain = self._plain(parsed)
        head = frame if plain is None else frame.iloc[:1]
        cells = {
            alias: self._read(head, column, owners[column])
            for column, alias in aliases.items()
        }
        data = pd.DataFrame(cells, index=pd.RangeIndex(len(head)))
        both = self.numeric & set(self.levels)  # columns read as numbers and in C()
        coded = {aliases[c]: self._categorical(frame, c, owners[c]) for c in both}
        environment = _environment(data, coded)
        spec = ModelSpec(
            formula=self._formula(parsed, aliases),
            ensure_full_rank=True,
            na_action="raise",
            output="numpy",
            transform_state=state,
        )
        materializer = PandasMaterializer(data)
        materializer.layered_context = environment
        try:
            with np.errstate(all="ignore"):
                result = materializer.get_model_matrix(spec)
        except (FormulaicError, ValueError, TypeError, ArithmeticError) as error:
            raise self._explain(error, data, environment, parsed, frame) from error
        if plain is not None:
            values = np.empty((len(frame), 1 + len(plain)))
            values[:, 0] = 1.0
            for j, column in enumerate(plain, start=1):
                values[:, j] = self._read(frame, column, owners[column])
            return result.model_spec, values
        values = np.asarray(result, dtype=np.float64)
        values = values.reshape(len(frame), values.shape[1])
        if not np.isfinite(values).all():
            names = result.model_spec.column_names
            row, column = np.argwhere(~np.isfinite(values))[0]
            name = _display(names[column], parsed.columns)
            raise _not_finite(name, frame, int(row))
        return result.model_spec, values

    def _plain(self, parsed: Parametric) -> list[str] | None:
        """Give the columns where each term is one numeric column as it is, else None.

        Their matrix needs no evaluation; formulaic would copy it several times.
        """
        columns = []
        for keys in parsed.terms:
            factors = [parsed.factors[key] for key in keys]
            if len(factors) != 1 or factors[0].function or len(factors[0].columns) != 1:
                return None
            (column,) = factors[0].columns
            if column in self.levels or column not in self.numeric:
                return None
            columns.append(column)
        return columns

    def _formula(self, parsed: Parametric, aliases: Mapping[str, str]) -> SimpleFormula:
        one = FormulaicFactor("1", eval_method="literal")
        terms = []
        if parsed.intercept or not self.intercept:
            terms.append(FormulaicTerm([one]))
        for keys in parsed.terms:
            factors = []
            for key in keys:
                factor = parsed.factors[key]
                method = "python" if factor.function else "lookup"
                expression = factor.render(aliases)
                factors.append(FormulaicFactor(expression, eval_method=method))
            terms.append(FormulaicTerm(factors))
        return SimpleFormula(terms)

    def _read(self, frame: pd.DataFrame, column: str, owner: str) -> Any:
        if column in self.numeric:
            return read_numeric(frame, column, owner)
        return self._categorical(frame, column, owner)

    def _categorical(
        self, frame: pd.DataFrame, column: str, owner: str
    ) -> pd.Categorical:
        levels = self.levels[column]
        codes = levels.codes(frame, owner)
        dtype = pd.CategoricalDtype(pd.Index(list(levels.values), dtype=object))
        return pd.Categorical.from_codes(cast(Any, codes), dtype=dtype)

    def _name(self, spec: ModelSpec, parsed: Parametric) -> None:
        """Name the columns and note the range of each term."""
        aliases = _aliases(parsed)
        reads = {f.render(aliases): f.columns for f in parsed.factors.values()}
        shift = 0 if self.intercept else -1
        names = [_display(name, parsed.columns) for name in spec.column_names]
        spans: list[tuple[str, int, int, tuple[str, ...]]] = []
        for term, where in spec.term_slices.items():
            start, stop = where.start + shift, where.stop + shift
            if start < 0 or stop <= start:
                continue
            expressions = [f.expr for f in term.factors if f.expr in reads]
            columns = dict.fromkeys(c for e in expressions for c in reads[e])
            label = ":".join(_display(e, parsed.columns) for e in expressions)
            spans.append((label or "Intercept", start, stop, tuple(columns)))
        self.names = tuple(names[-shift:])
        self.spans = tuple(spans)

    def _drop(self, values: np.ndarray) -> np.ndarray:
        return values if self.intercept else values[:, 1:]

    def _check_constant(
        self, values: np.ndarray, parsed: Parametric, crossed: str | None
    ) -> None:
        if self.intercept and not parsed.intercept:
            return  # without an intercept, a constant column is one
        constant = np.ptp(values, axis=0) == 0.0
        for label, start, stop, columns in self.spans:
            if crossed in columns and len(columns) > 1:
                continue
            for j in range(start, stop):
                if columns and constant[j]:
                    which = " and ".join(repr(column) for column in columns)
                    word = "columns" if len(columns) > 1 else "column"
                    raise DataError(
                        f"The term {label} is constant: {self.names[j]!r}, from the "
                        f"{word} {which}, is {values[0, j]:g} in every row. Leave it "
                        "out of the formula."
                    )

    def _explain(
        self,
        error: Exception,
        data: pd.DataFrame,
        environment: LayeredMapping,
        parsed: Parametric,
        frame: pd.DataFrame,
    ) -> Exception:
        """Make a named error of what formulaic raised."""
        aliases = _aliases(parsed)
        for factor in parsed.factors.values():
            rendered = factor.render(aliases)
            if not factor.function or rendered not in str(error):
                continue
            if "null values" in str(error):
                row = self._first_missing(rendered, data, environment)
                return _not_finite(factor.text, frame, row)
            why = _display(str(error.__cause__ or error), parsed.columns)
            columns = " and ".join(repr(column) for column in factor.columns)
            return DataError(f"{factor.text} cannot be computed from {columns}: {why}")
        return DataError(f"The formula {self.formula!r} cannot be computed: {error}")

    def _first_missing(
        self, rendered: str, data: pd.DataFrame, environment: LayeredMapping
    ) -> int:
        """Give the first row where a factor is not a number."""
        materializer = PandasMaterializer(data)
        materializer.layered_context = environment
        spec = ModelSpec(
            formula=[], transform_state=copy.deepcopy(self.transform_state)
        )
        with np.errstate(all="ignore"):
            values, _ = materializer._evaluate(rendered, {}, spec)
        columns = values.values() if isinstance(values, dict) else [values]
        bad = np.zeros(len(data), dtype=bool)
        for column in columns:
            numbers = np.asarray(column, dtype=np.float64).reshape(len(data), -1)
            bad |= np.isnan(numbers).any(axis=1)
        return int(np.argmax(bad))

    def to_state(self) -> dict[str, Any]:
        """Give the state: JSON types and arrays."""
        return {
            "formula": self.formula,
            "intercept": self.intercept,
            "levels": [levels.to_state() for levels in self.levels.values()],
            "numeric": sorted(self.numeric),
            "transforms": _encode(self.transform_state),
            "names": list(self.names),
            "spans": [[a, b, c, list(d)] for a, b, c, d in self.spans],
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> ParametricPart:
        """Make the part from its state."""
        levels = [Levels.from_state(v) for v in state["levels"]]
        part = cls(
            state["formula"],
            state["intercept"],
            {v.column: v for v in levels},
            frozenset(state["numeric"]),
        )
        part.transform_state = _decode(state["transforms"])
        part.names = tuple(state["names"])
        part.spans = tuple((a, b, c, tuple(d)) for a, b, c, d in state["spans"])
        return part


def _classify(
    factor: Factor,
    column: str,
    frame: pd.DataFrame,
    levels: dict[str, Levels],
    numeric: set[str],
) -> None:
    """Note whether the factor reads the column as numbers or as levels."""
    series = select(frame, column, factor.text)
    if factor.function not in ("", "C") or (not factor.function and is_numeric(series)):
        numeric.add(column)
        return
    known = levels.get(column)
    if factor.levels is not None:
        found = Levels(column, factor.levels)
        if known is not None and known.values != found.values:
            raise FormulaError(f"The column {column!r} is given two sets of levels.")
        found.codes(frame, factor.text)
    else:
        found = known or Levels.fit(frame, column, factor.text)
    if len(found) < 2:
        raise DataError(
            f"The column {column!r} of {factor.text} has one level only, "
            f"{found.values[0]!r}; it is constant. Leave it out of the formula."
        )
    levels[column] = found


def _environment(
    data: pd.DataFrame, coded: Mapping[str, pd.Categorical]
) -> LayeredMapping:
    """Give what formulaic may look up: columns, then the allow-listed functions.

    ``coded`` holds, for columns that are numbers elsewhere, what C() makes of them.
    """

    def factor(values: Any, *args: Any, **kwargs: Any) -> Any:
        known = coded.get(str(getattr(values, "name", "")))
        return ft.C(values if known is None else pd.Series(known), *args, **kwargs)

    functions = {**_FUNCTIONS, "C": factor} if coded else _FUNCTIONS
    return LayeredMapping(
        LayeredMapping(data, name="data"),
        LayeredMapping(functions, name="transforms"),
    )


def _aliases(parsed: Parametric) -> dict[str, str]:
    return {column: f"{_ALIAS}{i}_" for i, column in enumerate(parsed.columns)}


def _display(name: str, columns: tuple[str, ...]) -> str:
    """Put the columns back in a name that formulaic made of their aliases."""

    def column(match: re.Match[str]) -> str:
        original = columns[int(match[1])]
        bare = match.start() == 0 or name[match.start() - 1] == ":"
        return original if bare else quote_column(original)

    return re.sub(rf"{_ALIAS}(\d+)_", column, name)


def _not_finite(term: str, frame: pd.DataFrame, row: int) -> DataError:
    return DataError(
        f"The term {term} is not finite in row {shown(frame.index[row])}: its column "
        "has a value there that the function does not take."
    )


def _encode(value: Any) -> Any:
    """Make JSON types of a state; dictionaries keep keys that are no strings."""
    if isinstance(value, dict):
        return {"items": [[_encode(k), _encode(v)] for k, v in value.items()]}
    if isinstance(value, (list, tuple)):
        return [_encode(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def _decode(value: Any) -> Any:
    if isinstance(value, dict):
        return {_decode(k): _decode(v) for k, v in value["items"]}
    return [_decode(item) for item in value] if isinstance(value, list) else value
