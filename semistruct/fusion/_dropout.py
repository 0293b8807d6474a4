"""Multimodal dropout. Letters: B rows, M modalities."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from semistruct._core.validation import check_number
from semistruct.exceptions import DataError, ParameterError


def drop_modalities(
    masks: Tensor,
    p: float | Sequence[float],
    generator: torch.Generator | None = None,
) -> Tensor:
    """Hide modalities at random, never the last one of a row.

    Each modality that is present is dropped with its probability, free of the others.
    Where all would go, one of them is kept, each with the same probability. A row
    without any stays so.

    Parameters
    ----------
    masks : Tensor of bool of shape (B, M)
        True where the modality is present.
    p : float or sequence of M floats
        Probability of being dropped, in [0, 1]: one for all, or one for each modality.
    generator : torch.Generator, optional
        Where the randomness comes from, on the device of ``masks``; by default torch's
        global one.

    Returns
    -------
    Tensor of bool of shape (B, M)
        True where the modality is still there: a part of ``masks``.

    Notes
    -----
    Multimodal dropout of Cheerla & Gevaert (2019), doi:10.1093/bioinformatics/btz342.
    With the present modalities P, a set S ⊆ P that is not empty is what is left with
    probability Π_{m∈S} (1 − p_m) Π_{m∈P∖S} p_m, plus Π_{m∈P} p_m / |P| if |S| = 1.

    Examples
    --------
    >>> import torch
    >>> from semistruct.fusion import drop_modalities
    >>> masks = torch.tensor([[True, True], [True, False], [False, False]])
    >>> drop_modalities(masks, 0.5, torch.Generator().manual_seed(0)).sum(dim=1)
    tensor([1, 1, 0])
    """
    if masks.ndim != 2 or masks.dtype != torch.bool:
        raise DataError(
            "drop_modalities: masks must be bool of shape (rows, modalities), got "
            f"{masks.dtype} of shape {tuple(masks.shape)}."
        )
    rates = _rates(p, masks.shape[1], "p", "drop_modalities")
    return _drop(masks, rates.to(masks.device), generator)


class ModalityDropout(nn.Module):
    """`drop_modalities` in training, nothing in evaluation.

    Parameters
    ----------
    p : float or sequence of M floats
        Probability of being dropped, in [0, 1]: one for all, or one for each modality.
    n_modalities : int
        M.

    Examples
    --------
    >>> import torch
    >>> from semistruct.fusion import ModalityDropout
    >>> masks = torch.ones(4, 2, dtype=torch.bool)
    >>> dropout = ModalityDropout(1.0, 2)
    >>> dropout(masks).sum(dim=1)
    tensor([1, 1, 1, 1])
    >>> dropout.eval()(masks).all()
    tensor(True)
    """

    p: Tensor

    def __init__(self, p: float | Sequence[float], n_modalities: int) -> None:
        super().__init__()
        rates = _rates(p, n_modalities, "p", "ModalityDropout")
        self.register_buffer("p", rates, persistent=False)
        self.acts = bool((rates > 0).any())

    def forward(self, masks: Tensor) -> Tensor:
        """Map masks (B, M) to masks of which some are hidden in training."""
        if not (self.training and self.acts):
            return masks
        return _drop(masks, self.p, None)


def _drop(masks: Tensor, p: Tensor, generator: torch.Generator | None) -> Tensor:
    draws = torch.rand(2, *masks.shape, generator=generator, device=masks.device)
    kept = masks & (draws[0] >= p)
    saved = draws[1].masked_fill(~masks, -1.0).argmax(dim=1)  # uniform among present
    last = nn.functional.one_hot(saved, masks.shape[1]).bool() & masks
    return torch.where(kept.any(dim=1, keepdim=True), kept, last)


def _rates(p: float | Sequence[float], n: int, parameter: str, owner: str) -> Tensor:
    """Check probabilities and give one for each modality, (M,)."""
    if isinstance(p, Sequence) and not isinstance(p, str):
        if len(p) != n:
            raise ParameterError(
                parameter=parameter,
                owner=owner,
                allowed=f"a number, or one for each of the {n} modalities",
                given=p,
            )
        given = list(p)
    else:
        given = [p] * n
    for value in given:
        check_number(value, parameter=parameter, owner=owner, low=0, high=1)
    return torch.tensor([float(value) for value in given])
