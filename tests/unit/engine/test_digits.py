"""Real scans: the encoder, the network and the engine together."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from semistruct.encoders import CNN, build_encoder
from semistruct.engine import TensorSource, Training, predict, train
from semistruct.families import Gaussian, get_family
from semistruct.networks import SemiStructuredNetwork
from semistruct.objectives import LikelihoodObjective


@pytest.fixture(scope="module")
def digits() -> tuple[torch.Tensor, np.ndarray]:
    data = load_digits()
    images = torch.tensor(data.images, dtype=torch.float32)[:, None]
    order = np.random.default_rng(0).permutation(len(images))
    return ((images - images.mean()) / images.std())[order], data.target[order]


def fitted(images, y, family, n_predictors, epochs) -> SemiStructuredNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder, q = build_encoder(CNN(), tuple(images.shape[1:]))
    network = SemiStructuredNetwork({"scan": encoder}, {"scan": q}, n_predictors)
    train(
        LikelihoodObjective(network, family),
        TensorSource({"scan": images, "y": y}),
        training=Training(max_epochs=epochs),
    )
    return network


def test_the_number_on_a_scan_is_learned_from_700(digits) -> None:
    images, number = digits
    y = torch.tensor((number - 4.5) / 2.87)
    network = fitted(images[:700], y[:700], Gaussian(), 1, epochs=20)
    output = predict(network, TensorSource({"scan": images[700:]}))
    left = (output.linear_predictor[:, 0] - y[700:]).square().mean()
    assert 1 - left / y[700:].var() > 0.9


def test_digits_are_told_apart_after_700(digits) -> None:
    images, number = digits
    family = get_family("categorical", n_classes=10)
    network = fitted(images[:700], torch.tensor(number[:700]).double(), family, 9, 20)
    output = predict(network, TensorSource({"scan": images[700:]}))
    odds = torch.nn.functional.pad(output.linear_predictor, (1, 0))
    assert (odds.argmax(1).numpy() == number[700:]).mean() > 0.95


def test_brightness_is_learned(digits) -> None:
    images, _ = digits
    g = torch.Generator().manual_seed(1)
    factor = 1 + torch.rand(len(images), generator=g)
    bright = images * factor[:, None, None, None]
    y = (factor - 1.5) / factor.std()
    network = fitted(bright[:700], y[:700], Gaussian(), 1, epochs=30)
    output = predict(network, TensorSource({"scan": bright[700:]}))
    left = (output.linear_predictor[:, 0] - y[700:]).square().mean()
    assert 1 - left / y[700:].var() > 0.8
