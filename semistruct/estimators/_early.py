"""Early fusion: features of a modality that are computed first, then used as columns.

Letters: n rows, p numbers of a row of the modality, k features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from semistruct._core.terms import (
    PCA,
    DeepTerm,
    Fuse,
    Linear,
    Pretrained,
    StructuredTerm,
    Tabular,
    Term,
    term_from_state,
    term_to_state,
    walk,
)
from semistruct.design import quote_column
from semistruct.exceptions import DataError, ParameterError

from ._components import components
from ._early_names import early_prefix
from ._early_reader import Reader, keys_of, pretrained
from ._features import Feature, Features, register_feature
from ._modalities import (
    expand,
    fit_modality,
)
from ._readers import ImageModality, Modality, NumericModality

__all__ = ["EarlyFeature", "Split", "fit_features", "sources"]

Split = dict[Any, tuple[tuple[StructuredTerm, ...], tuple[DeepTerm, ...]]]


def sources(term: DeepTerm, known: Sequence[str]) -> tuple[str, ...]:
    """Give the columns of the table that a deep term reads, features resolved.

    Parameters
    ----------
    term : DeepTerm
        Any.
    known : sequence of str
        Columns of the table.

    Returns
    -------
    tuple of str
        Patterns are replaced by what they match.
    """
    if isinstance(term, PCA):
        return sources(term.term, known)
    if isinstance(term, Pretrained):
        return (term.column,)
    parts: tuple[Any, ...] = (term,)
    if isinstance(term, Fuse):
        parts = term.terms
    elif isinstance(term, Tabular):
        names = term.names
        parts = tuple(v if isinstance(v, DeepTerm) else Tabular((v,)) for v in names)
    if parts == (term,):
        return expand(term, known)
    return tuple(dict.fromkeys(c for part in parts for c in sources(part, known)))


@register_feature
class EarlyFeature(Feature):
    """Features of one modality: principal components, or the output of an encoder.

    Features of a row are ((x − mean)/scale)[kept] @ rotation. Where the modality is
    missing they are ``absent``: 0, their mean over the rows of fit, or NaN for the
    input of another encoder, which masks it.
    """

    kind = "early"

    def __init__(
        self,
        term: PCA | Pretrained,
        reader: Reader,
        columns: Sequence[str],
        mean: np.ndarray,
        scale: np.ndarray,
        *,
        rotation: np.ndarray | None = None,
        kept: np.ndarray | None = None,
        share: np.ndarray | None = None,
        nested: bool = False,
    ) -> None:
        self.term, self.reader, self.sources = term, reader, tuple(columns)
        self.mean, self.scale, self.rotation = mean, scale, rotation
        self.kept, self.share, self.nested = kept, share, nested
        sizes = [len(mean)] if kept is None else [len(kept)]
        k = sizes[0] if rotation is None else rotation.shape[1]
        prefix = early_prefix(term, nested=nested)
        self.names = tuple(f"{prefix}[{j}]" for j in range(k))

    @classmethod
    def fit(
        cls,
        term: PCA | Pretrained,
        frame: pd.DataFrame,
        encoders: Mapping[str, Any],
        weight: np.ndarray | None,
        *,
        nested: bool,
        device: str,
    ) -> EarlyFeature:
        """Learn the features from the rows of fit."""
        columns = sources(term, list(frame.columns))
        inner = term.term if isinstance(term, PCA) else term
        if isinstance(inner, Pretrained):
            reader = pretrained(inner, frame, encoders, device)
        elif isinstance(inner, PCA | Fuse) or _by(inner) is not None:
            raise ParameterError(
                parameter="term",
                owner=term.label,
                allowed="one modality without by=, such as image(scan)",
                given=inner.label,
            )
        else:
            reader = Reader(_numbers(inner, columns, frame))
        values, present = reader.read(frame)
        w = None if weight is None else weight[present]
        values = values[present]
        if not np.isfinite(values).all():
            raise DataError(
                f"{term.label}: the encoder gives numbers that are not finite."
            )
        if isinstance(term, PCA):
            scaled = isinstance(reader.modality, NumericModality)
            found = components(
                values, term.n_components, w, scaled=scaled, label=term.label
            )
            mean, scale, rotation, share = found
            return cls(
                term,
                reader,
                columns,
                mean,
                scale,
                rotation=rotation,
                share=share,
                nested=nested,
            )
        mean = np.average(values, axis=0, weights=w)
        sd = np.sqrt(np.average((values - mean) ** 2, axis=0, weights=w))
        kept = np.flatnonzero(sd > 1e-6 * max(float(sd.max()), 1e-30))
        if not kept.size or sd.max() == 0:
            raise DataError(f"{term.label}: the encoder says the same of every row.")
        return cls(term, reader, columns, mean, sd, kept=kept, nested=nested)

    def make(self, frame: pd.DataFrame) -> pd.DataFrame:
        values, present = self.reader.read(frame)
        scores = values - self.mean
        if self.kept is not None:
            scores, scale = scores[:, self.kept], self.scale[self.kept]
        else:
            scale = self.scale
        scores /= scale
        if self.rotation is not None:
            scores = scores @ self.rotation
        scores[~present] = np.nan if self.nested else 0.0
        return pd.DataFrame(scores, index=frame.index, columns=list(self.names))

    def to_state(self) -> dict[str, Any]:
        arrays = {
            "mean": self.mean,
            "scale": self.scale,
            "rotation": self.rotation,
            "kept": self.kept,
            "share": self.share,
        }
        return {
            "kind": self.kind,
            "term": term_to_state(self.term),
            "reader": self.reader.to_state(),
            "columns": list(self.sources),
            "nested": self.nested,
            "arrays": {k: v for k, v in arrays.items() if v is not None},
        }

    @classmethod
    def from_state(
        cls, state: Mapping[str, Any], given: Mapping[str, Any]
    ) -> EarlyFeature:
        term: Any = term_from_state(state["term"])
        reader = Reader.from_state(state["reader"], term, given)
        arrays = dict(state["arrays"])
        mean, scale = arrays.pop("mean"), arrays.pop("scale")
        columns = state["columns"]
        return cls(term, reader, columns, mean, scale, nested=state["nested"], **arrays)


def fit_features(
    split: Split,
    frame: pd.DataFrame,
    encoders: Mapping[str, Any],
    weight: np.ndarray | None,
    device: str,
) -> tuple[Features, Split, dict[str, Any]]:
    """Learn the early features of all formulas from the rows of fit.

    Parameters
    ----------
    split : dict of name to (structured terms, deep terms)
        Of each linear predictor.
    frame : DataFrame of n rows
        The rows of fit.
    encoders : dict of str to encoder
        As the estimator has them.
    weight : ndarray of shape (n,), optional
        Case weights.
    device : str
        Where pretrained encoders run.

    Returns
    -------
    features : Features
        What computes the columns for any rows.
    split : dict of name to (structured terms, deep terms)
        With a linear term of its features in the place of each early term.
    encoders : dict of str to encoder
        Without those that early terms have taken.
    """
    top: dict[DeepTerm, EarlyFeature] = {}
    inner: dict[Term, EarlyFeature] = {}
    all_terms = [v for _, deep in split.values() for t in deep for v in walk(t)]
    owned = {
        key
        for v in all_terms
        if isinstance(v, DeepTerm) and not isinstance(v, Pretrained)
        for key in (v.label, v.name)
    }
    own = {key: spec for key, spec in encoders.items() if key not in owned}
    for _, deep in split.values():
        for term in deep:
            for part in _outermost(term):
                nested = part is not term
                known = inner if nested else top
                if part not in known:
                    known[part] = EarlyFeature.fit(
                        part, frame, own, weight, nested=nested, device=device
                    )
    features = Features([*top.values(), *inner.values()])
    features.check_free(list(frame.columns))
    replaced: Split = {}
    for name, (structured, deep) in split.items():
        early = [top[t].names for t in deep if t in top]
        made = [Linear(" + ".join(map(quote_column, names))) for names in early]
        rest = tuple(t for t in deep if t not in top)
        replaced[name] = ((*structured, *made), rest)
    taken = {k for v in all_terms if isinstance(v, Pretrained) for k in keys_of(v)}
    left = {k: v for k, v in encoders.items() if k in owned or k not in taken}
    return features, replaced, left


def _numbers(term: DeepTerm, columns: Sequence[str], frame: pd.DataFrame) -> Modality:
    """Learn how to read a modality of numbers."""
    modality = fit_modality(term, columns, frame)
    table = modality.table if isinstance(modality, NumericModality) else None
    if table is not None and table.levels:
        column = next(iter(table.levels))
        raise DataError(
            f"{term.label}: principal components need numbers, and the column "
            f"{column!r} holds categories. Leave it out, or make it columns of 0 and 1."
        )
    if table is None and not isinstance(modality, ImageModality):
        raise ParameterError(
            parameter="term",
            owner="pca()",
            allowed="image(), omics(), tabular() of numbers, or pretrained()",
            given=term.label,
        )
    return modality


def _outermost(term: DeepTerm) -> list[PCA | Pretrained]:
    """Give the early terms inside a deep term, none inside another of them."""
    if isinstance(term, PCA | Pretrained):
        return [term]
    parts = [v for v in vars(term).values() if isinstance(v, tuple)]
    inner = [v for part in parts for v in part if isinstance(v, DeepTerm)]
    return [found for v in inner for found in _outermost(v)]


def _by(term: DeepTerm) -> str | None:
    return getattr(term, "by", None)
