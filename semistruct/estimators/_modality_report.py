"""What a comparison of modalities found: tables, and sentences in plain words."""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd

__all__ = ["ModalityComparison"]

_SMALL = 0.05  # p-value under which a gain is said to be there


@dataclass(frozen=True, eq=False)
class ModalityComparison:
    """Result of `compare_modalities`; ``print`` gives its sentences.

    Parameters
    ----------
    folds : DataFrame
        ``model``, ``split``, ``metric``, ``score``, ``n_train``, ``n_test`` and
        ``seconds`` of each fit.
    scores : DataFrame
        Mean score over the splits: a row for each model, a column for each metric; of
        each metric higher is better.
    gains : DataFrame
        For each ``modality`` and ``metric`` the ``gain`` (all modalities minus all
        others) with the corrected ``se``, ``p_value``, ``lower`` and ``upper`` of the
        t-test, and ``boot_lower`` and ``boot_upper`` of the bootstrap; 95 %.
    full : str
        Name of the model of all modalities.
    table : str or None
        Name of the one modality without deep terms.

    Examples
    --------
    >>> import semistruct as ss
    >>> X, y = ss.datasets.load_mcycle()
    >>> X = X.assign(noise=range(len(X)))
    >>> model = ss.SemiStructuredRegressor("s(times) + noise")
    >>> found = ss.compare_modalities(
    ...     model, X, y, {"time": "s(times)", "noise": "noise"}, n_boot=50,
    ...     random_state=0)
    >>> found.gains.set_index("modality")["gain"].round(1)["time"]
    np.float64(0.6)
    """

    folds: pd.DataFrame = field(repr=False)
    scores: pd.DataFrame = field(repr=False)
    gains: pd.DataFrame = field(repr=False)
    full: str
    table: str | None

    @property
    def best(self) -> str:
        """Name of the model with the best mean of the first metric."""
        return str(self.scores.iloc[:, 0].idxmax())

    @property
    def picked(self) -> str:
        """Warning that the best was picked on these data; empty for the full model."""
        if self.best == self.full:
            return ""
        metric = self.scores.columns[0]
        return (
            f"The best {metric} of {len(self.scores)} models, "
            f"{self.scores[metric].max():.3f}, is that of {self.best!r}. It was picked "
            "on the folds that it is reported on and is too good: score it on other "
            f"data, or report the full model, {self.scores.loc[self.full, metric]:.3f}."
        )

    def sentences(self) -> list[str]:
        """Say what each modality adds, and whether the table alone is as good.

        Returns
        -------
        list of str
        """
        found = [_sentence(row) for _, row in self.gains.iterrows()]
        metric = self.scores.columns[0]
        if self.table is not None:
            alone, whole = self.scores.loc[[self.table, self.full], metric].tolist()
            if alone >= whole:
                found.append(
                    f"The table alone wins: {metric} {alone:.3f} without any other "
                    f"modality, {whole:.3f} with all of them."
                )
        if self.picked:
            found.append(self.picked)
        return found

    def __str__(self) -> str:
        n = self.folds["split"].nunique()
        head = f"Mean of {n} held-out parts, higher is better"
        return "\n".join([head, self.scores.round(3).to_string(), *self.sentences()])


def _sentence(row: pd.Series) -> str:
    """Say what one modality adds to one metric."""
    gain, name, metric = row["gain"], row["modality"], row["metric"]
    low, high, p = row["boot_lower"], row["boot_upper"], row["p_value"]
    numbers = f"95 % CI {low:.3f} to {high:.3f}, corrected t-test p = {p:.2g}"
    votes = int(low * high > 0) + int(p < _SMALL)
    size = f"{abs(gain):.3f} {metric}"
    if votes == 2 and gain > 0:
        return f"{name} adds {size} to the others ({numbers})."
    if votes == 2:
        return f"{name} costs the others {size} ({numbers})."
    if votes == 1:
        verb = "add" if gain > 0 else "cost"
        return f"{name} may {verb} {size}: interval and test disagree ({numbers})."
    return (
        f"{name}: no change of {metric} is shown beside the others "
        f"({gain:+.3f}, {numbers})."
    )
