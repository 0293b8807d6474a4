"""A fitted model as attribution reads it: its terms, and a deep part that is given.

Letters: n rows, K linear predictors, T of them that a deep term adds to.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.utils.validation import check_is_fitted

from semistruct._core.validation import suggest
from semistruct.exceptions import ColumnError, ParameterError

__all__ = [
    "GivenDeep",
    "Leaf",
    "checked",
    "choose_parameter",
    "choose_term",
    "contributions",
    "leaves",
    "read_modality",
]


class GivenDeep:
    """The structured part of a fitted predictor beside a deep part that is given.

    The deep part is (n, K). It answers as the fitted predictor does, for n rows; so the
    model's own code makes predictions of any deep part.
    """

    def __init__(self, predictor: Any, deep: np.ndarray) -> None:
        self._structured = type(predictor)(
            predictor.predictors, {}, None, provided=predictor.provided
        )
        self._deep = deep

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # of copy and pickle
            raise AttributeError(name)
        return getattr(self._structured, name)

    def deep(self, frame: pd.DataFrame) -> np.ndarray:
        """Give the deep part, (n, K)."""
        return self._deep

    def linear_predictor(self, frame: pd.DataFrame) -> np.ndarray:
        """Give η (n, K)."""
        return self._structured.linear_predictor(frame) + self._deep


class _Ready:
    """The computed columns of a table that has them."""

    def transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        return frame


def checked(model: Any, X: Any, owner: str) -> tuple[Any, pd.DataFrame]:
    """Check that a model is fitted and additive, and make its table.

    What comes back is a shallow copy of the model, which takes the table as it is:
    missing cells are filled in it and columns computed.
    """
    check_is_fitted(model)
    if not hasattr(model, "predictor_"):
        raise ParameterError(
            parameter="model",
            owner=owner,
            allowed="a SemiStructuredRegressor, -Classifier or -Survival",
            given=type(model).__name__,
            hint="Of a late fusion give one of its members.",
        )
    frame = model._frame(X)
    ready = copy.copy(model)
    ready.features_ = _Ready()
    ready.__dict__.pop("missing_", None)
    return ready, frame


@dataclass(frozen=True)
class Leaf:
    """One modality of a deep term.

    ``key`` is that of the term in ``predictor_.parts``; ``child`` that of the modality
    within a fused term, None elsewhere.
    """

    key: str
    label: str
    modality: Any
    child: str | None = None


def leaves(model: Any) -> list[Leaf]:
    """Give the modalities of all deep terms, those within fused terms too."""
    out = []
    for key, part in model.predictor_.parts.items():
        children = getattr(part.modality, "children", None)
        if children is None:
            out.append(Leaf(key, part.term.label, part.modality))
            continue
        for term, (child, modality) in zip(
            part.term.terms, children.items(), strict=True
        ):
            out.append(Leaf(key, term.label, modality, child))
    return out


def choose_term(model: Any, term: str | None, owner: str) -> Leaf:
    """Find a modality by its label, or by the name of its only column."""
    found = leaves(model)
    if term is None and len(found) == 1:
        return found[0]
    labels = [leaf.label for leaf in found]
    names = {}
    for leaf in found:
        columns = leaf.modality.columns
        if len(columns) == 1:
            names[columns[0]] = leaf
        names[leaf.key if leaf.child is None else leaf.child] = leaf
    names |= {leaf.label: leaf for leaf in found}
    if term in names:
        return names[term]
    raise ParameterError(
        parameter="term",
        owner=owner,
        allowed=f"one of the deep terms {labels}"
        if labels
        else "a deep term: the "
        "model has none, only structured ones, which predict_terms() shows",
        given=term,
        hint=suggest(str(term), names) if term is not None else "",
    )


def choose_parameter(names: list[Any], parameter: Any, owner: str) -> int:
    """Find one of several linear predictors by its name."""
    if parameter is None and len(names) == 1:
        return 0
    if parameter in names:
        return names.index(parameter)
    raise ParameterError(
        parameter="parameter",
        owner=owner,
        allowed=f"one of the linear predictors {names}",
        given=parameter,
    )


def contributions(model: Any, frame: pd.DataFrame) -> list[dict[str, np.ndarray]]:
    """Give what each term adds (n,) to each of the K linear predictors, by label."""
    predictor = model.predictor_
    return predictor.terms(predictor.completed(frame))


def read_modality(
    leaf: Leaf, frame: pd.DataFrame, owner: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Read the rows (n, …) of a modality in the model's units, and their mask."""
    for column in leaf.modality.columns:
        if column not in frame.columns:
            raise ColumnError(
                f"{owner}: the table has no column {column!r}, which the term "
                f"{leaf.label} reads.{suggest(column, frame.columns)}"
            )
    block, present = leaf.modality.read(frame)
    return torch.as_tensor(block), torch.as_tensor(present, dtype=torch.bool)
