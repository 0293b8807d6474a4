"""What an attribution holds, and its summaries.

Letters: n rows, p columns, C channels, H and W height and width, G groups.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from semistruct._core.validation import suggest
from semistruct.exceptions import ColumnError, DataError

__all__ = ["Attribution"]

_OWNER = "Attribution"


@dataclass(frozen=True)
class Attribution:
    """How much of a prediction comes from each pixel or column of a deep term.

    Rows whose modality is missing have zeros.

    Parameters
    ----------
    values : ndarray of shape (n, p), (n, L), (n, C, H, W) or (n, 1, H, W)
        The attributions of p columns, L words or pixels, in the units of ``explained``
        (those of Grad-CAM are relative; it gives one map for all channels).
    inputs : ndarray of shape (n, p), (n, L) or (n, C, H, W)
        What the encoder read, standardised as in fit; ids of words.
    outcome : ndarray of shape (n,)
        What is explained, at the rows: the contribution as `predict_terms` gives it, or
        the value of the curve.
    baseline : ndarray of shape (n,)
        The same where the modality is at the baseline, the structured columns being
        those of the row.
    index : Index of length n
        Labels of the rows.
    features : tuple of str
        Names of the p columns; empty for images.
    term : str
        Label of the term.
    method : str
        The method.
    explained : str
        What is explained, in words.
    words : tuple of n tuples of str, default=()
        Of a text: the pieces of words of each row.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from semistruct.attribution import Attribution
    >>> values = np.array([[1.0, -0.5], [-2.0, 0.25]])
    >>> found = Attribution(values, values, values.sum(axis=1), np.zeros(2),
    ...     pd.RangeIndex(2), ("g1", "g2"), "omics(g*)", "integrated_gradients", "eta")
    >>> found.mean_abs()
    g1    1.500
    g2    0.375
    Name: mean |attribution|, dtype: float64
    """

    values: np.ndarray
    inputs: np.ndarray
    outcome: np.ndarray
    baseline: np.ndarray
    index: pd.Index
    features: tuple[str, ...]
    term: str
    method: str
    explained: str
    words: tuple[tuple[str, ...], ...] = ()

    @property
    def delta(self) -> np.ndarray:
        """What completeness lacks, (n,): Σ values − (outcome − baseline).

        About 0 for integrated gradients; the Monte Carlo error of gradient SHAP;
        interactions between groups for occlusion; without a meaning for Grad-CAM.
        """
        total = self.values.reshape(len(self.values), -1).sum(axis=1)
        return total - (self.outcome - self.baseline)

    def to_frame(
        self, groups: Mapping[str, Sequence[str]] | None = None
    ) -> pd.DataFrame:
        """Give the attributions as a table.

        Parameters
        ----------
        groups : dict of str to sequence of str, optional
            Columns of each group, such as the genes of pathways; they are summed. A
            column may be in several groups; those in none are left out.

        Returns
        -------
        DataFrame of n rows
            A column for each of the p columns, or for each group.

        Raises
        ------
        DataError
            For an image, see `maps`, and for a text, see `word_sums`.
        ColumnError
            For a group with a column that the term does not read.
        """
        if not self.features:
            raise DataError(
                f"{_OWNER}.to_frame: {self.term} has no columns; maps() gives the "
                "attributions of images, word_sums() those of texts."
            )
        table = pd.DataFrame(self.values, self.index, list(self.features))
        if groups is None:
            return table
        for group, names in groups.items():
            for name in names:
                if name not in table.columns:
                    raise ColumnError(
                        f"{_OWNER}: the group {group!r} has the column {name!r}, which "
                        f"{self.term} does not read.{suggest(name, self.features)}"
                    )
        sums = {g: table[list(names)].sum(axis=1) for g, names in groups.items()}
        return pd.DataFrame(sums, index=self.index)

    def mean_abs(self, groups: Mapping[str, Sequence[str]] | None = None) -> pd.Series:
        """Give the mean absolute attribution over the rows, the largest first.

        Parameters
        ----------
        groups : dict of str to sequence of str, optional
            As for `to_frame`: the absolute value is that of a group's sum.

        Returns
        -------
        Series of length p or G
            By column or group; >= 0.
        """
        mean = self.to_frame(groups).abs().mean(axis=0)
        ordered = mean.sort_values(ascending=False, kind="stable")
        return ordered.rename("mean |attribution|")

    def maps(self) -> np.ndarray:
        """Give the attributions of images, summed over channels.

        Returns
        -------
        ndarray of shape (n, H, W)

        Raises
        ------
        DataError
            For a term of columns, see `to_frame`.
        """
        if self.values.ndim != 4:
            raise DataError(
                f"{_OWNER}.maps: {self.term} is not one image for each row; "
                "values holds its attributions, to_frame() those of columns."
            )
        return self.values.sum(axis=1)

    def mean_abs_map(self) -> np.ndarray:
        """Give the mean absolute attribution of each pixel over the rows.

        Returns
        -------
        ndarray of shape (H, W)
        """
        return np.abs(self.maps()).mean(axis=0)

    def word_sums(self) -> pd.DataFrame:
        """Give what the words of texts say, over all rows.

        Returns
        -------
        DataFrame
            A row for each piece of a word, the largest ``mean |attribution|`` first:
            ``sum`` and ``count`` of its places, and ``mean |attribution|`` over them.

        Raises
        ------
        DataError
            For a term without words.
        """
        if not self.words:
            raise DataError(
                f"{_OWNER}.word_sums: {self.term} has no words; see to_frame() and "
                "maps()."
            )
        flat = [word for row in self.words for word in row]
        places = pd.DataFrame({"word": flat, "sum": self.values.ravel()})
        places["mean |attribution|"] = places["sum"].abs()
        groups = places.groupby("word")
        table = groups.agg({"sum": "sum", "mean |attribution|": "mean"})
        table.insert(1, "count", groups.size())
        return table.sort_values("mean |attribution|", ascending=False, kind="stable")

    def __repr__(self) -> str:
        shape = "×".join(map(str, self.values.shape[1:]))
        return (
            f"Attribution({self.method} of {self.explained}: {self.term}, "
            f"{len(self.index)} rows of {shape})"
        )


def describe(model: Any, name: Any, several: bool) -> str:
    """Name a linear predictor for a reader."""
    ratio = getattr(model, "_ratio", None)
    words = {"hazard ratio": "log hazard", "odds ratio": "log odds"}
    text = words.get(str(ratio), "linear predictor")
    return f"{text} of {name}" if several else text
