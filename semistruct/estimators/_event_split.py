"""The split for early stopping of censored times."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import pandas as pd

from semistruct._core.surv import Surv
from semistruct.exceptions import DataError

from ._heads import Head

__all__ = ["EventSplit"]


class EventSplit(Head):
    """A head whose split keeps ids together and events in both parts; abstract."""

    @property
    @abstractmethod
    def surv(self) -> Surv:
        """The target of the rows."""

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
