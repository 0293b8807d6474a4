"""How entries of a batch are encoded. Letters: B rows, q length of a latent vector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from semistruct._core.validation import suggest
from semistruct.exceptions import ParameterError

Batch = Mapping[str, Tensor]


def entry(batch: Batch, key: str) -> tuple[Tensor, Tensor | None]:
    """Give an entry of a batch, zeros in the rows where it is masked, and its mask."""
    rows, mask = batch[key], batch.get(key + ":mask")
    if mask is not None:
        rows = rows.masked_fill(~mask.reshape(-1, *(1,) * (rows.ndim - 1)), 0)
    return rows, mask


def rates(
    p: float | Mapping[str, float], names: Sequence[str], owner: str
) -> float | list[float]:
    """Give the rates of modality dropout in the order of names; 0 if not named."""
    if not isinstance(p, Mapping):
        return p
    for name in p:
        if name not in names:
            raise ParameterError(
                parameter="modality_dropout",
                owner=owner,
                allowed=f"a number, or a dict with keys among {list(names)}",
                given=name,
                hint=suggest(str(name), names),
            )
    return [p.get(name, 0.0) for name in names]
