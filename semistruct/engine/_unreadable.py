"""Rows that cannot be read: masked, counted and told once."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from semistruct.engine._sources import Source
from semistruct.exceptions import DataError

_SHOWN = 5


class MaskUnreadable(Dataset):
    """Rows of a modality, where one that cannot be read counts as missing.

    Parameters
    ----------
    dataset : torch.utils.data.Dataset
        Map-style; item i is (tensor, present) of row i, or raises a `DataError` (such
        as `ImageError`) that names the row.
    shape : tuple of int
        Shape of a row's tensor.

    Notes
    -----
    Item i is (tensor, present, report): the report is empty for a row that was read,
    else what the error said, and then the tensor is 0 and ``present`` False. Put the
    report under ``"<name>:unreadable"`` into the row: `DatasetSource` takes it out of
    the batches and keeps it, and `train` and `predict` warn once at their end.

    Examples
    --------
    >>> from semistruct.engine import MaskUnreadable
    >>> from semistruct.exceptions import ImageError
    >>> class Rows:
    ...     def __getitem__(self, row):
    ...         raise ImageError(f"row {row}: the file is truncated")
    >>> pixels, present, report = MaskUnreadable(Rows(), (1, 2, 2))[7]
    >>> tuple(pixels.shape), bool(present), report
    ((1, 2, 2), False, 'row 7: the file is truncated')
    """

    def __init__(self, dataset: Any, shape: tuple[int, ...]) -> None:
        self.dataset, self.shape = dataset, shape

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor, str]:
        try:
            values, present = self.dataset[row]
        except DataError as error:
            return torch.zeros(self.shape), torch.tensor(False), str(error)
        return values, torch.as_tensor(present), ""


def warn_unreadable(owner: str, *sources: Source | None) -> None:
    """Warn once of all rows that were masked, and forget them."""
    found: dict[str, None] = {}
    for source in sources:
        reports = getattr(source, "unreadable", {})
        found |= reports
        reports.clear()
    if found:
        shown = " ".join(list(found)[:_SHOWN])
        more = f" … and {len(found) - _SHOWN} more." if len(found) > _SHOWN else ""
        warnings.warn(
            f"{owner}: {len(found)} rows could not be read and were taken as missing: "
            f"{shown}{more}",
            UserWarning,
            stacklevel=3,
        )
