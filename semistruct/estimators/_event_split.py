"""The split for early stopping of censored times."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from semistruct._core.surv import Surv
from semistruct.exceptions import DataError

from ._heads import Head

__all__ = ["EventSplit", "cause_codes"]


class EventSplit(Head):
    """A head whose split keeps ids together and events in both parts; abstract."""

    weight: np.ndarray | None  # of the rows, from y or from sample_weight

    @property
    @abstractmethod
    def surv(self) -> Surv:
        """The target of the rows."""

    @property
    def n_events(self) -> int:
        """Number of events that the model is of."""
        return int(self.surv.event.sum())

    def likelihood_digest(self) -> str:
        """Name all that the likelihood is of: entries, strata and weights too."""
        y = self.surv
        strata = None if y.strata is None else pd.factorize(y.strata)[0]
        parts = [self.target(), y.entry, strata, self.weight, *self._intervals()]
        made = hashlib.sha256()
        for part in parts:
            made.update(b"|" if part is None else np.ascontiguousarray(part).tobytes())
        return made.hexdigest()[:16]

    def _intervals(self) -> tuple[np.ndarray, ...]:
        """Give the ends of intervals, where the likelihood depends on them."""
        return ()

    def strata(self) -> np.ndarray | None:
        return self.surv.event

    def split(
        self, fraction: float, seed: int, groups: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        y, ids = self.surv, groups
        if groups is None and y.id is not None:
            ids = pd.factorize(y.id)[0]
        train, held_out = super().split(fraction, seed, ids)
        parts = (train, held_out) if len(held_out) else (train,)
        if not all(y.event[part].any() for part in parts):
            raise DataError(
                f"Early stopping needs events in both parts of the rows, but there are "
                f"only {int(y.event.sum())} in all. Give more rows, or another "
                "training=Training(validation_fraction=…)."
            )
        return train, held_out


def cause_codes(y: Surv, causes: Sequence[Any]) -> np.ndarray:
    """Give 1 … C for the cause of a row's event, 0 where it is censored."""
    assert y.cause is not None
    own = pd.Index(y.cause.tolist(), dtype=object)
    known = pd.Index(list(causes), dtype=object)
    return np.where(y.event, known.get_indexer(own) + 1, 0).astype(np.int16)
