"""Members of a late fusion: what they read, where they speak, how they are fitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.utils.validation import has_fit_parameter

from semistruct._core.surv import Surv
from semistruct.design import structured_columns
from semistruct.exceptions import DataError, ParameterError

from . import _input
from ._base import SemiStructuredEstimator
from ._early import sources
from ._late_tasks import Task

__all__ = [
    "Member",
    "Rows",
    "check_spoken",
    "fit_clone",
    "fit_member",
    "presence",
    "statements",
    "take",
]


@dataclass(frozen=True)
class Member:
    """A fitted member; with ``center`` and ``scale`` where a task has units."""

    name: str
    estimator: Any
    center: float = 0.0
    scale: float = 1.0

    def say(self, task: Task, frame: pd.DataFrame) -> np.ndarray:
        """Ask for statements, (n, d)."""
        said = task.say(self.estimator, frame, self.name)
        return (said - self.center) / self.scale


@dataclass(frozen=True)
class Rows:
    """Rows of fit: the table, the target, weights and groups."""

    frame: pd.DataFrame
    y: Any
    weight: np.ndarray | None = None
    groups: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.frame)

    def take(self, rows: np.ndarray) -> Rows:
        """Give some rows, by a mask or by positions."""
        return Rows(
            take(self.frame, rows),
            self.y[rows],
            None if self.weight is None else self.weight[rows],
            None if self.groups is None else self.groups[rows],
        )


def take(frame: pd.DataFrame, rows: np.ndarray) -> pd.DataFrame:
    """Give some rows of a table; the table itself where it is all of them."""
    if rows.dtype == bool and rows.all():
        return frame
    return frame.iloc[np.flatnonzero(rows) if rows.dtype == bool else rows]


def fit_clone(name: str, estimator: Any, rows: Rows) -> Any:
    """Fit a clone of an estimator, with weights and groups where they are given."""
    options: dict[str, Any] = {}
    if rows.weight is not None:
        if not has_fit_parameter(estimator, "sample_weight"):
            raise ParameterError(
                parameter="sample_weight",
                owner="LateFusion.fit",
                allowed=f"None: {name!r} ({type(estimator).__name__}) takes no weights",
                given=type(rows.weight).__name__,
            )
        options["sample_weight"] = rows.weight
    if rows.groups is not None and has_fit_parameter(estimator, "groups"):
        options["groups"] = rows.groups
    return clone(estimator).fit(rows.frame, rows.y, **options)


def fit_member(name: str, estimator: Any, rows: Rows, task: Task) -> Member:
    """Fit a member to the rows where it is present."""
    fitted = fit_clone(name, estimator, rows)
    if not task.units:
        return Member(name, fitted)
    said = task.say(fitted, rows.frame, name)[:, 0]
    weight = rows.weight
    if weight is None and isinstance(rows.y, Surv):
        weight = rows.y.weights
    center = float(np.average(said, weights=weight))
    spread = float(np.sqrt(np.average((said - center) ** 2, weights=weight)))
    return Member(name, fitted, center, spread if spread > 0 else 1.0)


def presence(estimator: Any, frame: pd.DataFrame) -> np.ndarray:
    """Say in which rows of a table a member can say something, (n,).

    A semi-structured member needs its structured columns, and where it has none, one of
    its modalities; any other needs one cell that is not missing.
    """
    if not isinstance(estimator, SemiStructuredEstimator):
        read = getattr(estimator, "feature_names_in_", frame.columns)
        return _any(frame, list(read))
    structured, modalities = _reads(estimator, list(frame.columns))
    present = np.ones(len(frame), dtype=bool)
    if estimator.missing != "indicator":
        for column in structured:
            present &= _any(frame, [column])
    if modalities and not structured:
        present &= np.any([_any(frame, columns) for columns in modalities], axis=0)
    return present


def _reads(
    estimator: SemiStructuredEstimator, known: list[str]
) -> tuple[list[str], list[list[str]]]:
    """Give the structured columns of a member, and those of each modality."""
    if hasattr(estimator, "terms_"):
        terms = estimator.terms_
        formulas = terms if isinstance(terms, dict) else {None: terms}
    else:
        given = _input.as_formulas(estimator.terms, known)
        formulas = estimator._formulas(given, known)
    structured: dict[str, None] = {}
    modalities: dict[Any, list[str]] = {}
    for terms in formulas.values():
        own, deep = _input.split_terms(terms)
        structured |= dict.fromkeys(structured_columns(own))
        for term in deep:
            by = getattr(term, "by", None)
            structured |= {} if by is None else {by: None}
            modalities[term] = list(sources(term, known))
    provided = estimator._provided()
    return [c for c in structured if c not in provided], list(modalities.values())


def _any(frame: pd.DataFrame, columns: Sequence[str]) -> np.ndarray:
    """Say where any of some columns has a cell; a column that is not there has none."""
    there = [c for c in columns if c in frame.columns]
    return frame[there].notna().any(axis=1).to_numpy(dtype=bool)


def statements(
    members: Sequence[Member], task: Task, frame: pd.DataFrame, present: np.ndarray
) -> np.ndarray:
    """Ask members where they are present (M, n), (M, n, d); 0 elsewhere."""
    heard = [
        member.say(task, take(frame, there)) if there.any() else None
        for member, there in zip(members, present, strict=True)
    ]
    width = next(said.shape[1] for said in heard if said is not None)
    out = np.zeros((*present.shape, width))
    for m, said in enumerate(heard):
        if said is not None:
            out[m, present[m]] = said
    return out


def check_spoken(
    present: np.ndarray, frame: pd.DataFrame, names: Sequence[str]
) -> None:
    """Refuse rows about which no member says anything."""
    silent = ~present.any(axis=0)
    if silent.any():
        row = frame.index[int(np.argmax(silent))]
        raise DataError(
            f"LateFusion: no member ({', '.join(names)}) can say anything about "
            f"{int(silent.sum())} row(s), the first {row!r}: what each of them reads "
            "is missing (NaN) there. Leave these rows out, or add a member that reads "
            "something else."
        )
