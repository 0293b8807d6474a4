"""Augmentation acts in training only, image by image, and can be repeated."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from sklearn.base import clone
from torch import nn

from semistruct._core.torchvision import import_torchvision
from semistruct.encoders import (
    CNN,
    Augment,
    EfficientNet,
    PatchBag,
    ResNet,
    ViT,
    build_encoder,
)
from semistruct.encoders._augment import Augmented, augmented
from semistruct.engine import TensorSource, Training, train
from semistruct.exceptions import ParameterError
from semistruct.families import Gaussian
from semistruct.networks import SemiStructuredNetwork
from semistruct.objectives import LikelihoodObjective

EVERY = ["flip", "vertical_flip", "crop", "rotate", "jitter", "randaugment"]
v2 = import_torchvision("a test").transforms.v2


def images(n: int = 5) -> torch.Tensor:
    return torch.randn(n, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def module(augment, seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return CNN(width=4, output_dim=3, augment=augment).build((1, 8, 8))


def changed(augment, x: torch.Tensor, seed: int = 0) -> torch.Tensor:
    """What a module sees of images in training."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return augmented(nn.Identity(), augment).train()(x)


def test_it_acts_in_training_only() -> None:
    plain, with_it = module(None).eval(), module(EVERY).eval()
    assert torch.equal(plain(images()), with_it(images()))
    with_it.train()
    assert not torch.equal(with_it(images()), with_it(images()))


@pytest.mark.parametrize("augment", ["flip", "rotate", "crop", "jitter", "randaugment"])
def test_equal_images_get_draws_of_their_own(augment) -> None:
    same = images(1).expand(64, -1, -1, -1)
    found = changed(augment, same).flatten(1)
    assert len(found.unique(dim=0)) >= (2 if augment == "flip" else 20)


@pytest.mark.parametrize(
    "augment", ["RandomHorizontalFlip", v2.RandomHorizontalFlip(0.5), ["flip"]]
)
def test_objects_of_torchvision_draw_for_each_image_too(augment) -> None:
    x = images(1).expand(64, -1, -1, -1)
    found = changed(augment, x)
    mirrored = torch.isclose(found, x.flip(3), atol=1e-5).flatten(1).all(1)
    as_it_is = torch.isclose(found, x, atol=1e-5).flatten(1).all(1)
    assert (mirrored | as_it_is).all()
    assert 15 < mirrored.sum() < 49


def test_a_callable_gets_pixels_in_0_1_and_they_come_back() -> None:
    seen = []

    def spy(image: torch.Tensor) -> torch.Tensor:
        seen.append((float(image.min()), float(image.max())))
        return image

    x = 40 * images() - 3
    torch.testing.assert_close(changed(spy, x), x)
    assert seen == [(0.0, 1.0)] * 5
    flat = torch.full((2, 1, 4, 4), 7.0)
    assert torch.equal(changed(spy, flat), flat)


def test_names_run_in_one_pass_before_objects() -> None:
    order: list[str] = []
    calls = [lambda image, k=k: order.append(k) or image for k in "ab"]
    changed(["flip", *calls], images(2))
    assert order == ["a", "b", "a", "b"]


@pytest.mark.parametrize("augment", ["AutoAugment", "RandAugment", v2.ColorJitter(0.4)])
def test_policies_of_torchvision_give_finite_images(augment) -> None:
    x = torch.randn(6, 3, 16, 16)
    found = changed(augment, x)
    assert found.shape == x.shape
    assert found.isfinite().all()
    assert not torch.equal(found, x)


def test_the_engines_seed_decides() -> None:
    def fit(seed: int) -> torch.Tensor:
        encoder = module(["flip", "rotate", v2.RandomVerticalFlip()])
        network = SemiStructuredNetwork({"x": encoder}, {"x": 3}, 1)
        rows = {"x": images(32), "y": torch.linspace(-1, 1, 32)}
        state = torch.get_rng_state()
        train(
            LikelihoodObjective(network, Gaussian()),
            TensorSource(rows),
            training=Training(max_epochs=2, batch_size=8, device="cpu"),
            seed=seed,
        )
        assert torch.equal(torch.get_rng_state(), state)
        return torch.cat([p.detach().flatten() for p in network.parameters()])

    first = fit(1)
    assert torch.equal(first, fit(1))
    assert not torch.equal(first, fit(2))


def test_the_mean_over_both_mirror_images() -> None:
    plain, x = module(None).eval(), images()
    twice = module(Augment("flip", test_draws=2)).eval()
    wanted = (plain(x) + plain(x.flip(3))) / 2
    torch.testing.assert_close(twice(x), wanted)
    four = module(Augment(["flip", "vertical_flip"], test_draws=4)).eval()
    every = [x, x.flip(3), x.flip(2), x.flip((2, 3))]
    torch.testing.assert_close(four(x), torch.stack([plain(i) for i in every]).mean(0))


@pytest.mark.parametrize(
    "transforms", [EVERY, "RandomHorizontalFlip", v2.GaussianNoise()]
)
def test_versions_for_prediction_are_fixed_and_do_not_know_other_rows(
    transforms,
) -> None:
    net = module(Augment(transforms, test_draws=3)).eval()
    x, state = images(), torch.get_rng_state()
    together = net(x)
    assert torch.equal(together, net(x))
    assert torch.equal(torch.get_rng_state(), state)
    alone = torch.cat([net(x[i : i + 1]) for i in (4, 0)])
    torch.testing.assert_close(alone, together[[4, 0]])
    if transforms is not EVERY:
        return
    assert not torch.allclose(together, module(None).eval()(x))


@pytest.mark.parametrize(
    ("augment", "parameter", "words"),
    [
        ("flipp", "transforms", "Did you mean 'flip'"),
        ("RandomHorizontalFlp", "transforms", "Did you mean 'RandomHorizontalFlip'"),
        ("Resize", "transforms", "give the object instead"),
        ([], "transforms", "empty"),
        (3, "transforms", "callable"),
        ([None], "transforms", "callable"),
        (v2.RandomHorizontalFlip, "transforms", "callable"),
        (Augment, "transforms", "callable"),
        (Augment(strength=0), "strength", r"\(0, 3\]"),
        (Augment(test_draws=0), "test_draws", r"\[1"),
    ],
)
def test_what_is_refused(augment, parameter, words) -> None:
    with pytest.raises(ParameterError, match=f"'{parameter}' of Augment.*{words}"):
        CNN(augment=augment).build((1, 8, 8))


def test_a_callable_that_changes_the_shape_is_named() -> None:
    net = module(v2.Resize(4))
    with pytest.raises(
        ParameterError, match=r"For an image of \(1, 8, 8\).*\(1, 4, 4\)"
    ):
        net.train()(images())


@pytest.mark.parametrize(
    "encoder", [CNN(), ResNet(), EfficientNet(), ViT(), PatchBag(CNN())], ids=str
)
def test_every_encoder_of_images_takes_it(encoder) -> None:
    key = "encoder__augment" if isinstance(encoder, PatchBag) else "augment"
    encoder = clone(encoder).set_params(**{key: Augment("flip", test_draws=2)})
    assert encoder.get_params()[f"{key}__test_draws"] == 2
    shape = (3, 2, 8, 8) if isinstance(encoder, PatchBag) else (1, 8, 8)
    net, q = build_encoder(encoder, shape)
    assert any(isinstance(child, Augmented) for child in net.modules())
    assert net.eval()(torch.ones(2, *shape)).shape == (2, q)


def test_parts_of_the_module_can_be_reached_through_it() -> None:
    net = module("flip").eval()
    assert isinstance(net, Augmented)
    assert net.head is net.module.head
    assert net.maps is net.module.maps
    torch.testing.assert_close(net.head(net.features(images())), net(images()))


def test_copies_and_pickles() -> None:
    net = module(Augment(["flip", "RandomVerticalFlip"], test_draws=2)).eval()
    for again in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert torch.equal(again(images()), net(images()))
    assert clone(Augment("flip", strength=2)).get_params() == {
        "transforms": "flip",
        "strength": 2,
        "test_draws": 1,
    }


def test_no_images_at_all() -> None:
    assert changed("flip", images(0)).shape == (0, 1, 8, 8)
