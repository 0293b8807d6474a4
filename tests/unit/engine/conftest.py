from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from semistruct.engine import TensorSource
from semistruct.families import Gaussian
from semistruct.networks import SemiStructuredNetwork
from semistruct.objectives import LikelihoodObjective


def make_rows(n: int = 200, seed: int = 0, noise: float = 0.1) -> dict:
    """A known regression: y = offset + 2 x₁ − x₂ + noise."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 3, generator=g)
    offset = torch.randn(n, 1, generator=g)
    e = noise * torch.randn(n, generator=g)
    return {"x": x, "offset": offset, "y": offset[:, 0] + 2 * x[:, 0] - x[:, 1] + e}


def make_objective(dropout: float = 0.0, seed: int = 0) -> LikelihoodObjective:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        encoder = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Dropout(dropout))
        network = SemiStructuredNetwork({"x": encoder}, {"x": 8}, 1)
    return LikelihoodObjective(network, Gaussian())


@pytest.fixture
def rows() -> dict[str, torch.Tensor]:
    return make_rows()


@pytest.fixture
def source(rows) -> TensorSource:
    return TensorSource(rows)


@pytest.fixture
def validation() -> TensorSource:
    return TensorSource(make_rows(100, seed=1))


@pytest.fixture
def objective() -> LikelihoodObjective:
    return make_objective()


@pytest.fixture
def new_objective() -> Callable[..., LikelihoodObjective]:
    return make_objective
