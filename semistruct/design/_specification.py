"""What each term's arguments may be; the one place of these rules."""

from __future__ import annotations

import itertools
import math
from typing import Any, NoReturn

from semistruct._core import terms as t
from semistruct._core.validation import check_bool, check_choice, check_number, suggest
from semistruct.design._bases import BASES
from semistruct.design._thin_plate import null_dimension
from semistruct.design._wilkinson import parse_parametric
from semistruct.exceptions import ParameterError

__all__ = ["FUSIONS", "basis_names", "basis_sizes", "check_term"]

FUSIONS = (
    *("concat", "mean", "max", "sum", "prod", "gated", "attention"),
    *("cross_attention", "tensor", "embrace"),
)
"""Ways of joint fusion."""

_DEFAULT_K = {1: 10, 2: 30}  # for more columns 110


def check_term(term: t.Term) -> None:
    """Check the arguments of a term.

    Parameters
    ----------
    term : Term
        Any term.

    Raises
    ------
    ParameterError
        Naming the parameter, what is allowed and what was given.
    FormulaError
        If the formula of a `Linear` is not in the language.
    """
    if isinstance(term, t.Linear):
        _check_text(term.formula, "formula", "Linear")
        parse_parametric(term.formula)
    elif isinstance(term, t.Smooth):
        _check_smooth(term)
    elif isinstance(term, t.Tensor):
        _check_tensor(term)
    elif isinstance(term, t.RandomEffect):
        _check_text(term.group, "group", "re()")
        _check_text(term.slope, "slope", "re()", none=True)
        _check_smoothing(term.sp, "re()")
    elif isinstance(term, t.Cumulative):
        _check_cumulative(term)
    elif isinstance(term, t.Offset):
        _check_text(term.column, "column", "offset()")
    else:
        _check_deep(term)


def basis_sizes(term: t.Smooth | t.Tensor) -> tuple[int, ...]:
    """Give the dimension of each basis of a checked term, with the defaults filled in.

    Parameters
    ----------
    term : Smooth or Tensor
        One that `check_term` took.

    Returns
    -------
    tuple of int
        One for a `Smooth`, one for each column of a `Tensor`.
    """
    if isinstance(term, t.Tensor):
        return term.k if isinstance(term.k, tuple) else (term.k,) * len(term.names)
    if BASES[term.bs].factor:
        return (len(term.neighbours),)
    return (_DEFAULT_K.get(len(term.names), 110) if term.k is None else term.k,)


def basis_names(term: t.Smooth | t.Tensor) -> tuple[str, ...]:
    """Give the name of each basis of a checked term, in the order of `basis_sizes`."""
    if isinstance(term.bs, tuple):
        return term.bs
    return (term.bs,) * (len(term.names) if isinstance(term, t.Tensor) else 1)


def _check_smooth(term: t.Smooth) -> None:
    if isinstance(term.column, tuple):
        _check_names(term.column, "s()", least=2, parameter="column")
    else:
        _check_text(term.column, "column", "s()")
    check_choice(term.bs, BASES, parameter="bs", owner="s()")
    basis = BASES[term.bs]
    d = len(term.names)
    if d > 1 and not basis.several:
        names = ", ".join(term.names)
        raise ParameterError(
            parameter="column",
            owner="s()",
            allowed=f"one column with bs={term.bs!r}",
            given=term.column,
            hint=f" Write te({names}), or s({names}, bs='tp') for columns in one unit.",
        )
    if basis.factor:
        _check_neighbours(term.neighbours)
        if term.k is not None:
            allowed = f"None with bs={term.bs!r}: one coefficient for each region"
            raise ParameterError(
                parameter="k", owner="s()", allowed=allowed, given=term.k
            )
    elif term.neighbours is not None:
        allowed = f"None with bs={term.bs!r}"
        raise ParameterError(
            parameter="neighbours", owner="s()", allowed=allowed, given=term.neighbours
        )
    else:
        least = null_dimension(d) + 1 if d > 1 else basis.least_k
        _check_k(basis_sizes(term)[0], "s()", least)
    _check_text(term.by, "by", "s()", none=True)
    _check_smoothing(term.sp, "s()")


def _check_neighbours(neighbours: Any) -> None:
    def refuse(given: object, hint: str = "") -> NoReturn:
        raise ParameterError(
            parameter="neighbours",
            owner="s()",
            allowed="a dict of every region's neighbours",
            given=given,
            hint=hint,
        )

    good = isinstance(neighbours, tuple) and all(
        isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[1], tuple)
        for pair in neighbours
    )
    if not good or len(neighbours) < 2:
        call = "Smooth(column, bs='mrf', neighbours={...})"
        refuse(neighbours, f"A formula cannot hold it: write {call} in a list of terms")
    known = {region: set(others) for region, others in neighbours}
    for region, others in neighbours:
        for other in others:
            if other == region:
                refuse((region, others), f"{region!r} neighbours itself.")
            if other not in known:
                near = suggest(str(other), (str(v) for v in known))
                refuse((region, others), f"The region {other!r} is no key.{near}")
            if region not in known[other]:
                hint = f"{region!r} must be among those of {other!r} too."
                refuse((region, others), hint)


def _check_tensor(term: t.Tensor) -> None:
    owner = "ti()" if term.interaction else "te()"
    _check_names(term.names, owner, least=2)
    count = len(term.names)
    for parameter in ("bs", "k", "sp"):
        value = getattr(term, parameter)
        given = isinstance(value, tuple)
        needed = parameter == "sp" and value is not None
        if (given and len(value) != count) or (needed and not given):
            what = {"bs": "bases", "k": "integers", "sp": "numbers"}[parameter]
            raise ParameterError(
                parameter=parameter,
                owner=owner,
                allowed=f"{count} {what}, one for each column, or "
                + ("None" if parameter == "sp" else "one for all"),
                given=value,
            )
    margins = [name for name, basis in BASES.items() if basis.marginal]
    for name, size in zip(basis_names(term), basis_sizes(term), strict=True):
        check_choice(name, margins, parameter="bs", owner=owner)
        _check_k(size, owner, BASES[name].least_k)
    check_bool(term.np, parameter="np", owner=owner)
    _check_text(term.by, "by", owner, none=True)
    for value in term.sp or ():
        _check_smoothing(value, owner)


def _check_cumulative(term: t.Cumulative) -> None:
    owner = "cumulative()"
    _check_text(term.column, "column", owner)
    _check_text(term.time, "time", owner)
    if term.k is not None:
        _check_k(term.k, owner, BASES["ps"].least_k)
    check_number(term.lead, parameter="lead", owner=owner, low=0.0)
    check_number(
        term.lag,
        parameter="lag",
        owner=owner,
        low=float(term.lead),
        closed="neither",
        none=True,
    )
    times = term.times
    numbers = isinstance(times, tuple) and all(
        isinstance(v, (int, float)) and math.isfinite(v) for v in times
    )
    if times is not None and not (
        numbers and times and all(a < b for a, b in itertools.pairwise(times))
    ):
        raise ParameterError(
            parameter="times",
            owner=owner,
            allowed="a tuple of increasing finite numbers, or None",
            given=times,
        )
    _check_smoothing(term.sp, owner)


def _check_k(value: object, owner: str, least: int) -> None:
    check_number(value, parameter="k", owner=owner, low=least, high=1000, integer=True)


def _check_deep(term: t.Term) -> None:
    if isinstance(term, t.Image):
        _check_text(term.column, "column", "image()")
        _check_text(term.encoder, "encoder", "image()", none=True)
        pair = term.size if isinstance(term.size, tuple) else (term.size,)
        if term.size is not None and not (
            len(pair) <= 2 and all(type(v) is int and v > 0 for v in pair)
        ):
            raise ParameterError(
                parameter="size",
                owner="image()",
                allowed="a positive int, a pair of them, or None",
                given=term.size,
            )
        _check_count(term.max_tiles, "max_tiles", "image()")
    elif isinstance(term, t.Text):
        _check_text(term.column, "column", "text()")
        _check_text(term.encoder, "encoder", "text()", none=True)
        for name in ("vocabulary", "max_length"):
            _check_count(getattr(term, name), name, "text()")
    elif isinstance(term, (t.Omics, t.Tabular)):
        names: Any = term.names
        if isinstance(term, t.Tabular) and isinstance(names, tuple):
            for early in (v for v in names if isinstance(v, t.PCA | t.Pretrained)):
                check_term(early)
            names = tuple(
                v.label if isinstance(v, t.PCA | t.Pretrained) else v for v in names
            )
        _check_names(names, f"{term.function}()", least=1)
        _check_text(term.encoder, "encoder", f"{term.function}()", none=True)
    elif isinstance(term, t.Fuse):
        if len(term.terms) < 2 or not all(
            isinstance(v, t.DeepTerm) for v in term.terms
        ):
            allowed = "two or more deep terms, such as image(scan)"
            raise ParameterError(
                parameter="terms", owner="fuse()", allowed=allowed, given=term.terms
            )
        check_choice(term.how, FUSIONS, parameter="how", owner="fuse()")
        check_choice(term.head, ("linear", "mlp"), parameter="head", owner="fuse()")
        for name in ("dropout", "modality_dropout"):
            check_number(
                getattr(term, name),
                parameter=name,
                owner="fuse()",
                low=0,
                high=1,
                closed="left",
            )
        for inner in term.terms:
            check_term(inner)
    elif isinstance(term, t.PCA):
        check_number(
            term.n_components,
            parameter="n_components",
            owner="pca()",
            low=1,
            closed="left",
            integer=True,
        )
        check_term(term.term)
    elif isinstance(term, t.Pretrained):
        _check_text(term.encoder, "encoder", "pretrained()")
        _check_text(term.column, "column", "pretrained()")
    else:
        raise ParameterError(
            parameter="terms", owner="the model", allowed="term objects", given=term
        )
    _check_text(getattr(term, "by", None), "by", f"{term.label}", none=True)


def _check_smoothing(value: object, owner: str) -> None:
    check_number(
        value,
        parameter="sp",
        owner=owner,
        low=0.0,
        high=math.inf,
        closed="left",
        none=True,
    )


def _check_names(names: Any, owner: str, least: int, parameter: str = "names") -> None:
    word = "two or more distinct columns" if least == 2 else "one or more columns"
    good = isinstance(names, tuple) and len(names) >= least
    for name in names if good else ():
        _check_text(name, parameter, owner)
    if not good or (least == 2 and len(set(names)) < len(names)):
        raise ParameterError(
            parameter=parameter, owner=owner, allowed=f"a tuple of {word}", given=names
        )


def _check_text(
    value: object, parameter: str, owner: str, *, none: bool = False
) -> None:
    if none and value is None:
        return
    if not isinstance(value, str) or not value.strip():
        allowed = "a string that is not empty" + (", or None" if none else "")
        raise ParameterError(
            parameter=parameter, owner=owner, allowed=allowed, given=value
        )


def _check_count(value: Any, parameter: str, owner: str) -> None:
    check_number(
        value, parameter=parameter, owner=owner, low=1, integer=True, none=True
    )
