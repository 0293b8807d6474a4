"""Specifications survive JSON; code of the user's does not go into a state."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from torch import nn

from semistruct.encoders import (
    CNN,
    ENCODERS,
    MLP,
    Augment,
    EfficientNet,
    MultiView,
    PatchBag,
    ResNet,
    ViT,
    encoder_from_state,
    encoder_to_state,
    untrained,
)
from semistruct.exceptions import PersistenceError


@pytest.mark.parametrize(
    "encoder",
    [
        *(cls() for cls in ENCODERS.values()),
        MLP(hidden=(8, 4)),
        CNN(augment=("flip", "AutoAugment")),
        ViT(depth=2, freeze=1, augment=Augment(("flip", "rotate"), test_draws=3)),
        PatchBag(ResNet(weights="DEFAULT", freeze="all"), attention="plain"),
        MultiView(PatchBag, pooling="max").set_params(encoder=CNN(augment="flip")),
    ],
    ids=str,
)
def test_there_and_back(encoder) -> None:
    state = json.loads(json.dumps(encoder_to_state(encoder)))
    again = encoder_from_state(state)
    assert type(again) is type(encoder)
    assert repr(again.get_params()) == repr(encoder.get_params())


def test_a_list_comes_back_as_a_tuple_and_a_path_as_text() -> None:
    again = encoder_from_state(encoder_to_state(CNN(augment=["flip"])))
    assert again.augment == ("flip",)
    again = encoder_from_state(encoder_to_state(ResNet(weights=Path("w.pt"))))
    assert again.weights == "w.pt"


@pytest.mark.parametrize(
    "encoder",
    [
        nn.Linear(2, 2),
        PatchBag(nn.Flatten()),
        CNN(augment=nn.Identity()),
        CNN(augment=Augment(["flip", nn.Identity()])),
        MultiView(CNN(augment=nn.Identity())),
    ],
)
def test_code_has_no_state(encoder) -> None:
    assert encoder_to_state(encoder) is None


def test_an_unknown_name() -> None:
    with pytest.raises(PersistenceError, match="encoder 'swin'; known are autoencoder"):
        encoder_from_state({"name": "swin", "params": {}})


def test_untrained_has_the_same_shape_and_asks_for_no_weights() -> None:
    encoder = PatchBag(EfficientNet(weights="nowhere.pt", output_dim=3), output_dim=5)
    bare = untrained(encoder)
    assert encoder.encoder.weights == "nowhere.pt"
    assert bare.encoder.weights is None
    assert bare.build((2, 4, 8, 8)).head.out_features == 5
    module = nn.Linear(2, 2)
    assert untrained(module) is module
