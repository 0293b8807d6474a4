"""Reconstruction of columns.

Letters: B rows, p columns, q latent numbers, m cells that count.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from semistruct._core.validation import check_number
from semistruct.objectives._base import Batch, Objective, StepOutput

__all__ = ["ReconstructionObjective", "reconstruction_loss"]


def reconstruction_loss(
    output: Tensor, rows: Tensor, cells: Tensor | None = None
) -> Tensor:
    """Mean squared error over the cells that count, Σ m (x − x̂)² / Σ m.

    Parameters
    ----------
    output : Tensor of shape (B, p)
        x̂.
    rows : Tensor of shape (B, p)
        x; what stands in cells that do not count has no effect.
    cells : Tensor of shape (B, p), optional
        m ≥ 0: 0 where a cell is missing, otherwise the weight of its row. By default
        all cells count.

    Returns
    -------
    Tensor, scalar
        0 when no cell counts.

    Examples
    --------
    >>> import torch
    >>> from semistruct.objectives import reconstruction_loss
    >>> x = torch.tensor([[1.0, float("nan")], [3.0, 4.0]])
    >>> reconstruction_loss(torch.zeros(2, 2), x, ~x.isnan()).item()  # (1 + 9 + 16) / 3
    8.666666984558105
    """
    if cells is None:
        return (output - rows).square().mean()
    known = torch.where(cells > 0, rows, output.detach())
    share = cells.to(output.dtype)
    total = share.sum()
    square = (share * (output - known).square()).sum()
    return square / torch.where(total > 0, total, 1)


class ReconstructionObjective(Objective):
    """Mean squared error of columns that an encoder and a decoder give back.

    Trained on it, an encoder that stands in a network comes pretrained: its weights
    are changed in place.

    Parameters
    ----------
    network : torch.nn.Module
        Encoder, maps (B, p) to (B, q).
    decoder : torch.nn.Module
        Maps (B, q) to (B, p), such as ``Autoencoder.decoder`` gives.
    key : str
        Entry of a batch that holds the columns.
    corruption : float, default=0.0
        Share of the cells that are 0 (a column's mean) in what the encoder sees in
        training, in [0, 1). They are to be given back as they were.

    Notes
    -----
    Reads ``key`` (B, p) and, where they are there, ``key + ":mask"`` (B,) bool, False
    where the whole row is missing, ``key + ":cells"`` (B, p) bool, False where a cell
    is, and ``"weight"`` (B,) from a batch. A cell that is missing must hold a finite
    number. ``corruption``: Vincent et al. (2008), doi:10.1145/1390156.1390294.

    Examples
    --------
    >>> import torch
    >>> from semistruct.encoders import Autoencoder
    >>> from semistruct.objectives import ReconstructionObjective
    >>> spec = Autoencoder(hidden=(8,), output_dim=2)
    >>> objective = ReconstructionObjective(spec.build((5,)), spec.decoder((5,)), "rna")
    >>> objective.step({"rna": torch.ones(4, 5)}).loss.requires_grad
    True
    """

    def __init__(
        self,
        network: nn.Module,
        decoder: nn.Module,
        key: str,
        corruption: float = 0.0,
    ) -> None:
        check_number(
            corruption,
            parameter="corruption",
            owner="ReconstructionObjective",
            low=0,
            high=1,
            closed="left",
        )
        super().__init__(network)
        self.decoder = decoder
        self.key = key
        self.corruption = corruption

    def reconstruct(self, rows: Tensor) -> Tensor:
        """Map (B, p) to (B, p)."""
        return self.decoder(self.network(rows))

    def step(self, batch: Batch) -> StepOutput:
        """Score one batch.

        Parameters
        ----------
        batch : dict of str to Tensor
            See the notes of the class.

        Returns
        -------
        StepOutput
            ``n`` is the number of cells that count, each times its row's weight, per
            column.
        """
        rows = batch[self.key]
        cells = torch.ones_like(rows)
        mask = batch.get(f"{self.key}:mask")
        if mask is not None:
            cells = cells * mask[:, None]
            rows = rows.masked_fill(~mask[:, None], 0.0)
        known = batch.get(f"{self.key}:cells")
        if known is not None:
            cells = cells * known
        weight = batch.get("weight")
        if weight is not None:
            cells = cells * weight[:, None]
        seen = rows
        if self.training and self.corruption > 0:
            seen = rows * (torch.rand_like(rows) >= self.corruption)
        loss = reconstruction_loss(self.reconstruct(seen), rows, cells)
        n = cells.sum() / rows.shape[1]
        return StepOutput(loss, {"reconstruction": loss.detach()}, n)
