from __future__ import annotations

import pytest
import torch
from torch import nn

from semistruct.exceptions import ParameterError
from semistruct.networks import SemiStructuredNetwork

N, K = 6, 2


def make(scale=1.0, random_heads=True) -> SemiStructuredNetwork:
    torch.manual_seed(0)
    encoders = {
        "scan.left eye": nn.Sequential(nn.Flatten(), nn.Linear(16, 3), nn.Tanh()),
        "values": nn.Linear(5, 4),
    }
    dims = {"scan.left eye": 3, "values": 4}
    network = SemiStructuredNetwork(encoders, dims, K, scale=scale)
    if random_heads:
        for parameter in network.heads.parameters():
            nn.init.normal_(parameter)
    return network


def batch(**more: torch.Tensor) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(1)
    return {
        "scan.left eye": torch.randn(N, 1, 4, 4, generator=g),
        "values": torch.randn(N, 5, generator=g),
        "offset": torch.randn(N, K, generator=g),
    } | more


def test_untrained_it_is_the_structured_model() -> None:
    data = batch()
    output = make(random_heads=False)(data)
    assert torch.equal(output.linear_predictor, data["offset"])


def test_contributions_add_up() -> None:
    data = batch()
    output = make()(data)
    total = data["offset"] + sum(output.contributions.values())
    torch.testing.assert_close(output.linear_predictor, total)
    assert output.latents["scan.left eye"].shape == (N, 3)
    assert list(output.contributions) == ["scan.left eye", "values"]


def test_the_formula_is_that_of_the_docstring() -> None:
    network = make(scale=[2.0, 0.5])
    by = torch.linspace(-1, 1, N)
    mask = torch.tensor([True, False, True, True, False, True])
    data = batch(**{"values:by": by, "values:mask": mask})
    output = network(data)
    u = network.encoder("values")(data["values"])
    head = network.head("values")
    d = (u @ head.weight.T + head.bias) * torch.tensor([2.0, 0.5]) * by[:, None]
    d = torch.where(mask[:, None], d, 0.0)
    torch.testing.assert_close(output.contributions["values"], d)
    torch.testing.assert_close(
        output.latents["values"], torch.where(mask[:, None], u, 0.0)
    )


def test_without_an_offset_it_is_zero() -> None:
    data = batch()
    del data["offset"]
    output = make()(data)
    torch.testing.assert_close(
        output.linear_predictor, sum(output.contributions.values())
    )


@pytest.mark.parametrize("junk", [float("nan"), float("inf"), 0.0, 1e30])
def test_missing_rows_contribute_nothing_whatever_they_hold(junk) -> None:
    network, mask = make(), torch.tensor([True, False] * 3)
    data = batch()
    data["values"][~mask] = junk
    data["values:mask"] = mask
    output = network(data)
    assert torch.equal(output.contributions["values"][~mask], torch.zeros(3, K))
    assert torch.equal(output.latents["values"][~mask], torch.zeros(3, 4))
    output.linear_predictor.square().sum().backward()
    for parameter in network.parameters():
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()
    present = make()
    kept = {k: v[mask] for k, v in data.items() if k != "values:mask"}
    present(kept).contributions["values"].square().sum().backward()
    again = make()
    again(data).contributions["values"].square().sum().backward()
    for one, two in zip(present.parameters(), again.parameters(), strict=True):
        if one.grad is not None:
            torch.testing.assert_close(one.grad, two.grad)


def test_a_batch_without_any_image() -> None:
    network = make()
    output = network(batch(**{"values:mask": torch.zeros(N, dtype=torch.bool)}))
    assert torch.equal(output.contributions["values"], torch.zeros(N, K))
    output.linear_predictor.sum().backward()
    assert torch.equal(network.head("values").weight.grad, torch.zeros(K, 4))


def test_saved_weights_give_the_same_prediction() -> None:
    one = make(scale=3.0)
    other = make(scale=1.0, random_heads=False)
    other.load_state_dict(one.state_dict())
    data = batch()
    assert torch.equal(other(data).linear_predictor, one(data).linear_predictor)


def test_names_must_agree() -> None:
    with pytest.raises(ParameterError, match="output_dims"):
        SemiStructuredNetwork({"a": nn.Linear(1, 1)}, {"b": 1}, 1)
    with pytest.raises(ParameterError, match="at least one"):
        SemiStructuredNetwork({}, {}, 1)


def test_a_term_adds_to_its_own_predictors_only():
    network = SemiStructuredNetwork(
        {"a": nn.Linear(2, 3), "b": nn.Linear(2, 3)},
        {"a": 3, "b": 3},
        2,
        targets={"b": [1]},
        scale=[1.0, 10.0],
    )
    with torch.no_grad():
        for head in network.heads:
            head.weight.normal_()
    rows = torch.randn(5, 2)
    output = network({"a": rows, "b": rows})
    assert network.head("b").weight.shape == (1, 3)
    assert not output.contributions["b"][:, 0].any()
    expected = 10.0 * (output.latents["b"] @ network.head("b").weight[0])
    torch.testing.assert_close(output.contributions["b"][:, 1], expected)
    total = output.contributions["a"] + output.contributions["b"]
    torch.testing.assert_close(output.linear_predictor, total)
