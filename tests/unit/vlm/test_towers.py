"""Towers, what the data say, and configurations as states."""

from __future__ import annotations

import pytest
import torch

from semistruct.exceptions import DataError, ParameterError
from semistruct.vlm import (
    CLIPConfig,
    ConvTower,
    Facts,
    PatchTower,
    SimCLRConfig,
    SwAV,
    SwAVConfig,
    TextTower,
    Views,
    config_from_state,
    config_to_state,
)

FACTS = Facts(image=(2, 8, 6), vocabulary=9, length=5)


@pytest.fixture(autouse=True)
def _seed():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.mark.parametrize(
    "spec",
    [ConvTower(8, 4, 1), PatchTower(8, 2, 2, 4), PatchTower(8, 2, 2, 4, pool="flat")],
)
def test_features_are_as_many_as_the_specification_says(spec):
    module = spec.build(FACTS).eval()
    assert module(torch.randn(3, 2, 8, 6)).shape == (3, spec.features(FACTS))


def test_pools_of_the_same_tokens():
    x = torch.randn(3, 2, 8, 6)
    mean = PatchTower(8, 2, 2, 4).build(FACTS)
    flat = PatchTower(8, 2, 2, 4, pool="flat").build(FACTS)
    flat.load_state_dict(mean.state_dict())
    expected = flat(x).view(3, 4, 8).mean(dim=1)
    torch.testing.assert_close(mean(x), expected)


def test_patches_know_their_place():
    tower = PatchTower(8, 2, 2, 4).build(FACTS)
    x = torch.randn(1, 2, 8, 6)
    assert not torch.allclose(tower(x), tower(x.flip(2)), atol=1e-4)


def test_text_tower_is_the_mean_of_what_is_there():
    tower = TextTower(8, 1, 2).build(FACTS)
    ids = torch.tensor([[2, 3, 4, 0, 0]])
    tokens = tower.embedding(ids[:, :3]) + tower.positions[:3]
    torch.testing.assert_close(tower(ids), tower.transformer(tokens).mean(dim=1))
    empty = torch.zeros(1, 5, dtype=torch.int64)
    assert tower(empty).isfinite().all()


def test_what_is_not_there_is_named():
    with pytest.raises(DataError, match="images"):
        ConvTower().build(Facts())
    with pytest.raises(DataError, match="texts"):
        TextTower().build(Facts(image=(1, 8, 8)))
    with pytest.raises(ParameterError, match="'pool'"):
        PatchTower(pool="max").build(FACTS)
    with pytest.raises(ParameterError, match="'patch'"):
        PatchTower(patch=0).build(FACTS)


def test_configurations_go_through_states():
    config = CLIPConfig(image=PatchTower(pool="flat"), text=TextTower(8), dim=3)
    assert config_from_state(CLIPConfig, config_to_state(config)) == config
    config = SimCLRConfig(views=Views(rotate=3.0, flip=True))
    state = config_to_state(config)
    assert config_from_state(SimCLRConfig, state) == config
    state["image"]["kind"] = "ConvTowr"
    with pytest.raises(ParameterError, match="Did you mean 'ConvTower'"):
        config_from_state(SimCLRConfig, state)


def test_views_of_a_configuration_are_checked():
    config = SimCLRConfig(views=Views(noise=-1.0))
    with pytest.raises(ParameterError, match="'noise'"):
        SwAV.build(SwAVConfig(views=config.views), FACTS)


def test_earlier_rows_take_part_in_the_assignment():
    system = SwAV.build(SwAVConfig(image=ConvTower(8, 4, 1), queue=16), FACTS).train()
    x = {"image": torch.randn(6, 2, 8, 6)}
    system.step(x)
    assert len(system.queue.rows) == 12  # two views of six rows
    cosines = torch.rand(6, 48)
    alone = SwAV.build(SwAVConfig(image=ConvTower(8, 4, 1)), FACTS)
    assert system._assign(cosines).shape == (6, 48)
    assert not torch.allclose(system._assign(cosines), alone._assign(cosines))
