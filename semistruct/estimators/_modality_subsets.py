"""A model with some of its modalities: which terms stay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

from sklearn.base import clone

from semistruct._core.terms import DeepTerm, Fuse, Term
from semistruct._core.validation import suggest
from semistruct.exceptions import FormulaError, ParameterError

from . import _input

__all__ = ["Modalities", "configurations", "is_table", "read_modalities", "with_terms"]

Modalities = dict[str, tuple[Term, ...]]

_OWNER = "compare_modalities()"
_TABLE = "table"


def read_modalities(estimator: Any, given: Any, columns: Sequence[str]) -> Modalities:
    """Give the terms of each modality, by name.

    Without names the structured terms together are ``"table"``, and each deep term, or
    each term within ``fuse()``, is a modality by its name.
    """
    terms = _template(estimator, columns)
    if given is None:
        found: Modalities = {}
        table = tuple(t for t in terms if not isinstance(t, DeepTerm))
        if table:
            found[_TABLE] = table
        for term in terms:
            if isinstance(term, DeepTerm):
                inner = term.terms if isinstance(term, Fuse) else (term,)
                found |= {child.name: (child,) for child in inner}
    elif isinstance(given, Mapping) and all(isinstance(k, str) for k in given):
        found = {name: _input.as_terms(value) for name, value in given.items()}
    else:
        raise ParameterError(
            parameter="modalities",
            owner=_OWNER,
            allowed="a dict from names to formulas, such as {'table': 'age + s(bmi)', "
            "'photo': 'image(scan)'}, or None",
            given=given,
        )
    if len(found) < 2 or not all(found.values()):
        raise ParameterError(
            parameter="modalities",
            owner=_OWNER,
            allowed="two modalities or more, each with a term",
            given=list(found),
        )
    return found


def _template(estimator: Any, columns: Sequence[str]) -> tuple[Term, ...]:
    params = estimator.get_params(deep=False)
    if "terms" not in params and not {"structured", "modalities"} <= set(params):
        raise ParameterError(
            parameter="estimator",
            owner=_OWNER,
            allowed="one with the parameter terms, or structured and modalities",
            given=type(estimator).__name__,
        )
    if "terms" not in params:  # a system puts them together in its own way
        given = (params["structured"], params["modalities"])
        return tuple(term for part in given for term in _input.as_terms(part))
    formulas = _input.as_formulas(estimator.terms, columns)
    if list(formulas) != [None]:
        raise FormulaError(
            f"{_OWNER}: the estimator has formulas for {list(formulas)}; one formula "
            "is taken. Compare models of one distribution parameter."
        )
    return formulas[None]


def is_table(terms: Sequence[Term]) -> bool:
    """Whether no term is deep."""
    return not any(isinstance(term, DeepTerm) for term in terms)


def configurations(
    names: Sequence[str], chosen: Sequence[Sequence[str]]
) -> dict[str, tuple[str, ...]]:
    """Give what is compared: singles, what was chosen, all but one, and all."""
    wanted: list[tuple[str, ...]] = [(name,) for name in names]
    for given in chosen:
        own = (given,) if isinstance(given, str) else tuple(given)
        for name in own:
            if name not in names:
                raise ParameterError(
                    parameter="combinations",
                    owner=_OWNER,
                    allowed=f"tuples of names among {list(names)}",
                    given=given,
                    hint=suggest(str(name), names),
                )
        wanted.append(own)
    wanted += combinations(names, len(names) - 1)
    wanted.append(tuple(names))
    ordered = [tuple(n for n in names if n in own) for own in wanted]
    return {" + ".join(own): own for own in ordered}


def with_terms(estimator: Any, modalities: Modalities, names: Sequence[str]) -> Any:
    """Give a clone that has the terms of some modalities.

    Terms that the estimator fuses stay fused with those of them that are left; the last
    one of them stands alone.
    """
    template = _template(estimator, ())
    wanted = [term for name in names for term in modalities[name]]
    fused = [term for term in template if isinstance(term, Fuse)]
    inner = [child for fuse in fused for child in fuse.terms]
    kept: list[Term] = [term for term in wanted if term not in inner]
    for fuse in fused:
        left = tuple(child for child in fuse.terms if child in wanted)
        if len(left) > 1:
            kept.append(replace(fuse, terms=left))
        else:
            kept += left
    model = clone(estimator)
    if "terms" in estimator.get_params(deep=False):
        return model.set_params(terms=kept)
    deep = [t for t in kept if isinstance(t, DeepTerm)]
    structured = [t for t in kept if not isinstance(t, DeepTerm)]
    return model.set_params(structured=structured, modalities=deep)
