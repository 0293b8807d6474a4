"""Parts of the parameters: patterns, layers, optimisers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from semistruct.engine import ParameterGroups, TensorSource, Training, train
from semistruct.engine._groups import layer_heights, make_optimizers
from semistruct.exceptions import ParameterError
from semistruct.objectives import Objective, StepOutput


class Two(nn.Module):
    """A deep and a shallow encoder beside each other, and heads above both."""

    def __init__(self) -> None:
        super().__init__()
        deep = nn.Sequential(
            nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2), nn.Linear(2, 2)
        )
        self.encoders = nn.ModuleList([deep, nn.Linear(2, 2)])
        self.heads = nn.ModuleList([nn.Linear(2, 1), nn.Linear(2, 1)])

    def forward(self, x):
        return sum(h(e(x)) for h, e in zip(self.heads, self.encoders, strict=True))


class Mean(Objective):
    def step(self, batch) -> StepOutput:
        loss = (self.network(batch["x"])[:, 0] - batch["y"]).square().mean()
        return StepOutput(loss, {}, len(batch["y"]))


SOURCE = TensorSource({"x": torch.randn(40, 2), "y": torch.ones(40)})


def options(objective, **kwargs):
    """Give (optimiser, rate, shrinkage) of each parameter, by name."""
    made = make_optimizers(
        objective,
        optimizer="adamw",
        learning_rate=1.0,
        weight_decay=0.5,
        groups=ParameterGroups(**kwargs),
    )
    names = {id(p): n for n, p in objective.named_parameters()}
    return {
        names[id(p)]: (type(o).__name__, group["lr"], group["weight_decay"])
        for o in made
        for group in o.param_groups
        for p in group["params"]
    }


def test_layers_are_counted_from_the_top_and_branches_beside_each_other() -> None:
    assert layer_heights(Mean(Two())) == {
        "network.heads.0": 0,
        "network.heads.1": 0,
        "network.encoders.0.3": 1,
        "network.encoders.0.2": 2,
        "network.encoders.0.0": 3,
        "network.encoders.1": 1,
    }
    parts = nn.ModuleDict({"a": nn.Linear(1, 1), "b": nn.Linear(1, 1)})
    blocks = nn.ModuleList([nn.Linear(1, 1), nn.Linear(1, 1)])
    tree = nn.Sequential(parts, blocks)
    assert layer_heights(tree) == {"0.a": 2, "0.b": 2, "1.0": 1, "1.1": 0}


def test_rates_and_shrinkage_by_name_and_layer() -> None:
    table = options(
        Mean(Two()),
        learning_rates={"encoders.1.*": 0.1},
        layer_decay=0.5,
        decay_vectors=False,
    )
    assert table["network.heads.0.weight"] == ("AdamW", 1.0, 0.5)
    assert table["network.heads.0.bias"] == ("AdamW", 1.0, 0.0)
    assert table["network.encoders.0.0.weight"] == ("AdamW", 0.125, 0.5)
    assert table["network.encoders.1.weight"] == ("AdamW", 0.05, 0.5)
    assert len(table) == len(list(Two().parameters()))


def test_several_optimisers() -> None:
    table = options(Mean(Two()), optimizers={"heads.*": "sgd"})
    assert table["network.heads.1.bias"][0] == "SGD"
    assert table["network.encoders.1.bias"][0] == "AdamW"


def test_an_objective_may_ask_for_its_own() -> None:
    class Asking(Mean):
        def optimizers(self):
            return {"network.encoders.*": "adam"}

    assert options(Asking(Two()))["network.encoders.0.0.bias"][0] == "Adam"
    train(Asking(Two()), SOURCE, training=Training(max_epochs=1))


def test_training_with_groups_learns_at_their_rates() -> None:
    objective = Mean(Two())
    before = {n: p.clone() for n, p in objective.named_parameters()}
    groups = ParameterGroups({"encoders.0.*": 1e-30}, {"heads.*": "sgd"})
    train(
        objective, SOURCE, training=Training(max_epochs=2, groups=groups, batch_size=8)
    )
    for name, p in objective.named_parameters():
        still = torch.allclose(p, before[name], atol=1e-9)
        assert still == name.startswith("network.encoders.0")


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"learning_rates": {"encoder.*": 1.0}}, "'learning_rates' of Param.*encoders"),
        ({"optimizers": {"x*": "sgd"}}, "'optimizers' of ParameterGroups"),
    ],
)
def test_a_pattern_that_fits_nothing_is_named(kwargs, match) -> None:
    with pytest.raises(ParameterError, match=match):
        train(Mean(Two()), SOURCE, training=Training(groups=ParameterGroups(**kwargs)))


@pytest.mark.parametrize(
    "kwargs",
    [
        {"learning_rates": {"*": 0.0}},
        {"learning_rates": 3},
        {"optimizers": {"*": "lbfgs"}},
        {"layer_decay": 0.0},
        {"layer_decay": 1.5},
        {"decay_vectors": 1},
    ],
    ids=str,
)
def test_bad_groups_are_named(kwargs) -> None:
    (name,) = kwargs
    with pytest.raises(ParameterError, match=name):
        Training(groups=ParameterGroups(**kwargs)).check()
