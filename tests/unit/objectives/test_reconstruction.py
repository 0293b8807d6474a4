from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from semistruct.encoders import Autoencoder
from semistruct.engine import TensorSource, Training, train
from semistruct.exceptions import ParameterError
from semistruct.families import Gaussian
from semistruct.networks import SemiStructuredNetwork
from semistruct.objectives import (
    LikelihoodObjective,
    ReconstructionObjective,
    reconstruction_loss,
)

N, P = 10, 4


def made(**options) -> ReconstructionObjective:
    spec = Autoencoder(hidden=(6,), output_dim=2, dropout=0.0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module, decoder = spec.build((P,)), spec.decoder((P,))
        return ReconstructionObjective(module, decoder, "rna", **options)


def batch() -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(1)
    return {
        "rna": torch.randn(N, P, generator=g),
        "rna:mask": torch.rand(N, generator=g) > 0.3,
        "rna:cells": torch.rand(N, P, generator=g) > 0.4,
        "weight": torch.rand(N, generator=g),
    }


@pytest.mark.parametrize("keys", [(), (":mask",), (":cells",), (":mask", ":cells")])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_loss_cell_by_cell(keys, weighted) -> None:
    objective, whole = made(), batch()
    names = ["rna", *(f"rna{key}" for key in keys), *(["weight"] if weighted else [])]
    rows = {name: whole[name] for name in names}
    with torch.no_grad():
        loss, parts, n = objective.step(rows)
    total, count = 0.0, 0.0
    found = objective.reconstruct(whole["rna"]).detach()
    for i in range(N):
        for j in range(P):
            m = float(whole["weight"][i]) if weighted else 1.0
            m *= bool(whole["rna:mask"][i]) if ":mask" in keys else 1
            m *= bool(whole["rna:cells"][i, j]) if ":cells" in keys else 1
            total += m * float(whole["rna"][i, j] - found[i, j]) ** 2
            count += m
    assert float(loss) == pytest.approx(total / count, rel=1e-5)
    assert float(n) == pytest.approx(count / P, rel=1e-5)
    assert float(parts["reconstruction"]) == float(loss)


def test_batches_add_up() -> None:
    objective, rows = made(), batch()
    parts = [
        {key: value[rows_of] for key, value in rows.items()}
        for rows_of in (slice(0, 3), slice(3, N))
    ]
    assert objective.evaluate([rows]) == pytest.approx(objective.evaluate(parts))


def test_what_is_missing_has_no_effect_and_no_gradient() -> None:
    objective, rows = made(), batch()
    changed = dict(rows)
    changed["rna"] = rows["rna"].masked_fill(~rows["rna:mask"][:, None], torch.nan)
    objective.step(rows).loss.backward()
    before = [p.grad.clone() for p in objective.parameters()]
    objective.zero_grad()
    objective.step(changed).loss.backward()
    for first, parameter in zip(before, objective.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, first)
        assert first.abs().max() > 0
    objective.zero_grad()
    nothing = {"rna": rows["rna"], "rna:mask": torch.zeros(N, dtype=torch.bool)}
    loss, _, n = objective.step(nothing)
    loss.backward()
    assert loss == 0
    assert n == 0
    assert all(p.grad.isfinite().all() for p in objective.parameters())


def test_cells_that_do_not_count_may_hold_anything() -> None:
    output = torch.zeros(2, 2, requires_grad=True)
    rows = torch.tensor([[1.0, torch.nan], [torch.inf, 2.0]])
    loss = reconstruction_loss(output, rows, rows.isfinite())
    loss.backward()
    assert loss.item() == pytest.approx(2.5)
    torch.testing.assert_close(output.grad, torch.tensor([[-1.0, 0.0], [0.0, -2.0]]))
    plain = torch.ones(2, 2)
    assert reconstruction_loss(output, plain) == reconstruction_loss(
        output, plain, torch.ones(2, 2)
    )


def test_corruption_blanks_cells_in_training_only() -> None:
    class Keep(nn.Module):
        def forward(self, rows):
            self.seen = rows
            return rows

    encoder = Keep()
    objective = ReconstructionObjective(encoder, nn.Identity(), "x", corruption=0.25)
    rows = torch.ones(400, 10)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        loss = objective.step({"x": rows}).loss
    blank = float((encoder.seen == 0).float().mean())
    assert blank == pytest.approx(0.25, abs=0.03)
    assert loss.item() == pytest.approx(blank)  # the target is not blanked
    objective.eval()
    assert objective.step({"x": rows}).loss == 0
    with pytest.raises(ParameterError, match="'corruption' of ReconstructionObjective"):
        made(corruption=1.0)


def test_pretraining_stays_in_the_network() -> None:
    """Columns of rank two: learned without y, then by few rows with it."""
    rng = np.random.default_rng(0)
    factor = rng.normal(size=(500, 2)).astype(np.float32)
    x = torch.as_tensor(factor @ rng.normal(size=(2, 20)).astype(np.float32))
    x = x / x.std(dim=0)
    spec = Autoencoder(hidden=(32,), output_dim=2, dropout=0.0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = SemiStructuredNetwork({"rna": spec.build((20,))}, {"rna": 2}, 1)
        decoder = spec.decoder((20,))
    pretrain = ReconstructionObjective(network.encoder("rna"), decoder, "rna")
    before = pretrain.evaluate([{"rna": x}])
    training = Training(max_epochs=40, learning_rate=5e-3, device="cpu")
    train(pretrain, TensorSource({"rna": x}), training=training)
    after = pretrain.evaluate([{"rna": x}])
    assert after < 0.1 < 0.8 < before
    y = torch.as_tensor(factor[:, 0])
    train(
        LikelihoodObjective(network, Gaussian()),
        TensorSource({"rna": x[:60], "y": y[:60]}),
        training=training,
    )
    with torch.no_grad():
        found = network({"rna": x[60:]}).linear_predictor[:, 0]
    assert float((found - y[60:]).square().mean() / y[60:].var()) < 0.3
