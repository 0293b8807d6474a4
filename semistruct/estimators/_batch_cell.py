"""The orthogonalisation cell around a network, in training.

Letters: B rows, K linear predictors, p structured columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from semistruct.exceptions import ParameterError
from semistruct.fusion import project_batch
from semistruct.networks import NetworkOutput, SemiStructuredNetwork

__all__ = ["BatchCell", "cell_tensors"]


class BatchCell(nn.Module):
    """A network whose contributions lose the structured columns of their batch.

    It projects contributions: they are linear in by·mask·[U, 1], so that this is the
    projection of the latents.
    """

    def __init__(self, network: SemiStructuredNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: Mapping[str, Tensor]) -> NetworkOutput:
        """Predict a batch of rows that know one another."""
        own = {k: v for k, v in batch.items() if not k.startswith("cell:")}
        output = self.network(own)
        contributions = {}
        total = own.get("offset")
        for name, values in output.contributions.items():
            fused = output.fused.get(name)
            mask = own.get(f"{name}:mask") if fused is None else fused.mask
            columns = []
            for k in range(values.shape[1]):
                column = values[:, [k]]
                if k in self.network.targets[name]:
                    basis, weight = batch[f"cell:{k}"], batch[f"cell:{k}:weight"]
                    column = project_batch(column, basis, weight, mask)
                columns.append(column)
            contributions[name] = torch.cat(columns, dim=1)
            total = (
                contributions[name] if total is None else total + contributions[name]
            )
        return output._replace(linear_predictor=total, contributions=contributions)


def cell_tensors(
    columns: Sequence[np.ndarray],
    extra: np.ndarray,
    weight: np.ndarray,
    batch_size: int,
    owner: str,
) -> dict[str, Tensor]:
    """Give what the cell reads of the rows: structured columns (n, p) and weights.

    Parameters
    ----------
    columns : sequence of K arrays of shape (n, p)
        Columns of each predictor.
    extra : ndarray of shape (n, s)
        Further columns of all, such as a constant.
    weight : ndarray of shape (n, K)
        Working weights.
    batch_size : int
        Of training; it must exceed the number of columns.
    owner : str
        Whose message it is.
    """
    out = {}
    for k, own in enumerate(columns):
        basis = np.hstack([own, extra])
        if basis.shape[1] >= batch_size:
            raise ParameterError(
                parameter="training__batch_size",
                owner=owner,
                allowed=f"above {basis.shape[1]}, the number of structured columns, "
                "where orthogonalize='batch'",
                given=batch_size,
                hint="Several times as many are better; or use orthogonalize='global'.",
            )
        out[f"cell:{k}"] = torch.as_tensor(basis)
        out[f"cell:{k}:weight"] = torch.as_tensor(weight[:, k].clip(min=0.0))
    return out
