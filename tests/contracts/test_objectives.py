"""What every objective must do, over the families and ties that it may have."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from semistruct.families import get_family
from semistruct.networks import SemiStructuredNetwork
from semistruct.objectives import CoxObjective, LikelihoodObjective, Objective

N = 12
OBJECTIVES = ["gaussian", "bernoulli", "categorical", "poisson", "efron", "breslow"]
EACH = pytest.mark.parametrize("name", OBJECTIVES)


def make(name: str) -> tuple[Objective, dict[str, torch.Tensor]]:
    g = torch.Generator().manual_seed(2)
    counts = torch.randint(0, 3, (N,), generator=g)
    family = None
    target: dict[str, torch.Tensor]
    if name in ("efron", "breslow"):
        time = torch.randint(1, 6, (N,), generator=g).double()  # with ties
        target = {"time": time, "event": counts > 0}
    elif name == "categorical":
        family, target = get_family(name, n_classes=3), {"y": counts.double()}
    else:
        y = (counts > 0).double() if name == "bernoulli" else counts.double()
        family, target = get_family(name), {"y": y}
    K = 1 if family is None else family.n_predictors
    with torch.random.fork_rng():
        torch.manual_seed(3)
        encoder = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Dropout(0.5))
        network = SemiStructuredNetwork({"x": encoder}, {"x": 6}, K)
        for parameter in network.heads.parameters():
            nn.init.normal_(parameter)
    objective = (
        CoxObjective(network, ties=name)
        if family is None
        else LikelihoodObjective(network, family)
    )
    batch = {
        "x": torch.randn(N, 4, generator=g),
        "offset": torch.randn(N, K, generator=g),
    }
    return objective, batch | target


def pick(batch: dict[str, torch.Tensor], rows: object) -> dict[str, torch.Tensor]:
    return {key: value[rows] for key, value in batch.items()}


@EACH
def test_step_is_a_finite_scalar_with_named_detached_parts(name) -> None:
    objective, batch = make(name)
    loss, parts, n = objective.step(batch)
    assert loss.shape == ()
    assert loss.isfinite()
    assert loss.requires_grad
    assert parts
    for value in parts.values():
        assert not value.requires_grad
    assert n == N


@EACH
def test_gradient_reaches_every_parameter(name) -> None:
    objective, batch = make(name)
    objective.step(batch).loss.backward()
    for key, parameter in objective.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        shift = name in ("efron", "breslow") and key.endswith("heads.0.bias")
        if not shift:  # a partial likelihood does not see the level
            assert parameter.grad.abs().max() > 0, key


@EACH
def test_order_of_rows_does_not_matter(name) -> None:
    objective, batch = make(name)
    objective.eval()
    order = torch.randperm(N, generator=torch.Generator().manual_seed(5))
    one, two = objective.step(batch).loss, objective.step(pick(batch, order)).loss
    torch.testing.assert_close(one, two)


@EACH
def test_unit_weights_are_no_weights_and_zero_weights_no_rows(name) -> None:
    objective, batch = make(name)
    objective.eval()
    ones = torch.ones(N, dtype=torch.float64)
    plain = objective.step(batch).loss
    torch.testing.assert_close(
        objective.step(batch | {"weight": ones}).loss, plain, check_dtype=False
    )
    keep = torch.arange(N) < 8
    weighted = objective.step(batch | {"weight": ones * keep})
    torch.testing.assert_close(
        weighted.loss, objective.step(pick(batch, keep)).loss, check_dtype=False
    )
    assert weighted.n == 8
    nothing = objective.step(batch | {"weight": 0 * ones})
    assert nothing.loss == 0
    nothing.loss.backward()
    for parameter in objective.parameters():
        assert parameter.grad.isfinite().all()


@EACH
def test_a_missing_modality_leaves_the_offset(name) -> None:
    objective, batch = make(name)
    batch["x"] = torch.full_like(batch["x"], float("nan"))
    batch["x:mask"] = torch.zeros(N, dtype=torch.bool)
    loss = objective.step(batch).loss
    assert loss.isfinite()
    loss.backward()
    for parameter in objective.parameters():
        assert parameter.grad.isfinite().all()


@EACH
def test_evaluate_does_not_depend_on_the_batches(name) -> None:
    objective, batch = make(name)
    objective.train()
    whole = objective.evaluate([batch])
    parts = objective.evaluate([pick(batch, slice(0, 7)), pick(batch, slice(7, N))])
    assert whole == pytest.approx(parts, rel=1e-6)
    assert objective.training  # dropout was off, and is on again
    assert all(module.training for module in objective.modules())
    objective.eval()
    assert whole == pytest.approx(objective.step(batch).loss.item(), rel=1e-5)


@EACH
def test_saved_weights_give_the_same_loss(name) -> None:
    objective, batch = make(name)
    other, _ = make(name)
    with torch.no_grad():
        for parameter in objective.parameters():
            parameter.mul_(1.5)
    other.load_state_dict(objective.state_dict())
    objective.eval()
    other.eval()
    assert torch.equal(other.step(batch).loss, objective.step(batch).loss)
