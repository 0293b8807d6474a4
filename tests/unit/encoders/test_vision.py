"""Encoders on torchvision's architectures against torchvision's own models."""

from __future__ import annotations

import pickle
import urllib.error

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from semistruct._core.torchvision import import_torchvision
from semistruct.encoders import EfficientNet, ResNet, ViT, build_encoder
from semistruct.encoders._weights import resize_positions, stem_kernels
from semistruct.engine import TensorSource, Training, train
from semistruct.exceptions import ParameterError
from semistruct.families import Gaussian
from semistruct.networks import SemiStructuredNetwork
from semistruct.objectives import LikelihoodObjective

torchvision = import_torchvision("a test")
MEAN = np.array([0.485, 0.456, 0.406])
STD = np.array([0.229, 0.224, 0.225])


def images(n: int, *shape: int) -> torch.Tensor:
    return torch.rand(n, *shape, generator=torch.Generator().manual_seed(0))


def seeded(make):
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return make()


def without_head(model: nn.Module) -> nn.Module:
    """Give a model running statistics that are not 0 and 1."""
    for child in model.modules():
        if isinstance(child, nn.BatchNorm2d):
            child.running_mean.uniform_(-0.2, 0.2)
            child.running_var.uniform_(0.5, 1.5)
    return model.eval()


@pytest.fixture(scope="module")
def resnet(tmp_path_factory):
    model = seeded(lambda: without_head(torchvision.models.resnet18()))
    path = tmp_path_factory.mktemp("weights") / "resnet.pt"
    torch.save(model.state_dict(), path)
    model.fc = nn.Identity()
    return model, path


@pytest.fixture(scope="module")
def efficientnet(tmp_path_factory):
    model = seeded(lambda: without_head(torchvision.models.efficientnet_b0()))
    path = tmp_path_factory.mktemp("weights") / "efficientnet.safetensors"
    save_file(model.state_dict(), path)
    model.classifier = nn.Identity()
    return model, path


def transformer(side: int) -> nn.Module:
    return torchvision.models.VisionTransformer(
        image_size=side,
        patch_size=4,
        num_layers=2,
        num_heads=2,
        hidden_dim=8,
        mlp_dim=32,
    ).eval()


@pytest.fixture(scope="module")
def vit(tmp_path_factory):
    model = seeded(lambda: transformer(16))
    path = tmp_path_factory.mktemp("weights") / "vit.pth"
    torch.save(model.state_dict(), path)
    model.heads = nn.Identity()
    return model, path


def small_vit(**options) -> ViT:
    return ViT(patch_size=4, dim=8, depth=2, heads=2, **options)


@pytest.mark.parametrize(
    ("name", "encoder", "side"),
    [
        ("resnet", ResNet(), 64),
        ("efficientnet", EfficientNet(), 64),
        ("vit", small_vit(), 16),
    ],
)
def test_features_are_torchvisions(name, encoder, side, request) -> None:
    model, path = request.getfixturevalue(name)
    encoder = encoder.set_params(weights=path)
    module = encoder.build((3, side, side)).eval()
    x = images(2, 3, side, side)
    with torch.no_grad():
        torch.testing.assert_close(module.features(x), model(x))
        torch.testing.assert_close(module(x), module.head(module.features(x)))
    assert module.head.out_features == encoder.output_dim


def test_told_the_columns_moments_images_come_as_the_weights_expect(resnet) -> None:
    model, path = resnet
    raw = images(2, 3, 64, 64)
    mean, std = np.array([0.2, 0.4, 0.6]), np.array([0.1, 0.3, 0.2])

    def normalised(by: tuple[np.ndarray, np.ndarray]) -> torch.Tensor:
        m, s = (torch.tensor(v, dtype=torch.float32)[:, None, None] for v in by)
        return (raw - m) / s

    module, _ = build_encoder(ResNet(weights=path), (3, 64, 64), (mean, std))
    with torch.no_grad():
        found = module.eval().features(normalised((mean, std)))
        torch.testing.assert_close(
            found, model(normalised((MEAN, STD))), atol=1e-4, rtol=1e-4
        )
    untrained, _ = build_encoder(ResNet(), (3, 8, 8), (mean, std))
    x = images(1, 3, 8, 8)
    assert torch.equal(untrained.maps[0](x), x)


def test_told_moments_of_gray_images(resnet) -> None:
    module, _ = build_encoder(
        ResNet(weights=resnet[1]), (1, 8, 8), (np.array([0.3]), np.array([0.2]))
    )
    x = images(2, 1, 8, 8)
    wanted = (x - MEAN.mean()) / STD.mean()
    found = module.maps[0]((x - 0.3) / 0.2)
    torch.testing.assert_close(found, wanted.float(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("channels", [1, 2, 5])
@pytest.mark.parametrize("name", ["resnet", "efficientnet", "vit"])
def test_images_whose_channels_are_alike_give_what_rgb_gives(
    name, channels, request
) -> None:
    model, path = request.getfixturevalue(name)
    encoder = {"resnet": ResNet, "efficientnet": EfficientNet, "vit": small_vit}[name]
    side = 16 if name == "vit" else 64
    module = encoder(weights=path).build((channels, side, side)).eval()
    gray = images(2, 1, side, side)
    with torch.no_grad():
        found = module.features(gray.expand(-1, channels, -1, -1))
        wanted = model(gray.expand(-1, 3, -1, -1))
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


def test_kernels_for_other_channels() -> None:
    weight = torch.randn(4, 3, 2, 2)
    assert stem_kernels(weight, 3) is weight
    two = stem_kernels(weight, 2)
    assert two.shape == (4, 2, 2, 2)
    torch.testing.assert_close(two[:, 0], weight.sum(1) / 2)
    torch.testing.assert_close(two[:, 1], two[:, 0])


def test_a_new_stem_keeps_the_spread_of_what_it_gives() -> None:
    one = seeded(lambda: ResNet().build((1, 64, 64)))
    three = seeded(lambda: ResNet().build((3, 64, 64)))
    spreads = [m.maps[1][0](torch.randn(8, c, 64, 64)).std().item()
               for m, c in ((one, 1), (three, 3))]  # fmt: skip
    assert spreads[0] == pytest.approx(spreads[1], rel=0.1)


def test_small_images_are_not_made_smaller_in_the_stem(resnet) -> None:
    _, path = resnet
    for side, wanted in ((63, 8), (64, 2)):
        module = ResNet(weights=path).build((3, side, side)).eval()
        assert module.maps(torch.zeros(1, 3, side, side)).shape[2:] == (wanted, wanted)
    for side, wanted in ((32, 2), (64, 2)):
        module = EfficientNet().build((3, side, side)).eval()
        assert module.maps(torch.zeros(1, 3, side, side)).shape[2:] == (wanted, wanted)


def test_positions_are_interpolated_as_torchvision_does(vit) -> None:
    model, path = vit
    positions = model.encoder.pos_embedding.detach()
    interpolate = torchvision.models.vision_transformer.interpolate_embeddings
    for side in (8, 16, 28):
        state = {"encoder.pos_embedding": positions.clone()}
        wanted = interpolate(side, 4, state)["encoder.pos_embedding"]
        found = resize_positions(positions, (side // 4, side // 4))
        torch.testing.assert_close(found, wanted)
    wide = resize_positions(positions, (2, 5))
    assert wide.shape == (1, 11, 8)
    assert torch.equal(wide[:, :1], positions[:, :1])
    module = small_vit(weights=path).build((3, 8, 20))
    torch.testing.assert_close(module.maps[1].positions.detach(), wide)


def test_images_are_filled_up_to_whole_patches() -> None:
    module = seeded(lambda: small_vit().build((1, 6, 9))).eval()
    x = images(2, 1, 6, 9)
    filled = nn.functional.pad(x, (0, 3, 0, 2))
    assert module.maps(x).shape == (2, 1 + 2 * 3, 8)
    torch.testing.assert_close(module(x), module(filled))


def test_a_vit_sees_where_things_are() -> None:
    module = seeded(lambda: ViT().build((1, 16, 16))).eval()
    x = images(2, 1, 16, 16)
    assert (module(x) - module(x.flip(3))).abs().max() > 1e-4


@pytest.mark.parametrize(
    ("encoder", "n"), [(ResNet(), 5), (EfficientNet(), 9), (ViT(depth=3), 4)]
)
def test_freezing_the_first_stages(encoder, n) -> None:
    for freeze, count in (("none", 0), (0, 0), (2, 2), (n, n), ("all", n)):
        module = encoder.set_params(freeze=freeze).build((3, 16, 16))
        trained = [
            {p.requires_grad for p in stage.parameters()} for stage in module.maps[1:]
        ]
        assert trained == [{False}] * count + [{True}] * (n - count)
        assert all(p.requires_grad for p in module.head.parameters())
        for mode in (True, False):
            module.train(mode)
            assert not any(s.training for s in module.maps[1 : 1 + count])
            assert all(s.training == mode for s in module.maps[1 + count :])
    with pytest.raises(ParameterError, match=rf"'freeze' of .*{n} stages"):
        encoder.set_params(freeze=n + 1).build((3, 16, 16))


@pytest.mark.parametrize("freeze", [True, -1, "some", 1.0, None])
def test_what_freeze_may_be(freeze) -> None:
    with pytest.raises(ParameterError, match="'freeze' of ResNet"):
        ResNet(freeze=freeze).build((3, 8, 8))


@pytest.mark.parametrize("freeze", ["all", 3])
def test_training_leaves_frozen_stages_as_they_are(freeze) -> None:
    module, q = seeded(lambda: build_encoder(ResNet(freeze=freeze), (1, 8, 8)))
    frozen = module.maps[: 1 + (5 if freeze == "all" else freeze)]
    before = {name: t.clone() for name, t in frozen.state_dict().items()}
    free = {name: t.clone() for name, t in module.state_dict().items()}
    network = SemiStructuredNetwork({"x": module}, {"x": q}, 1)
    nn.init.normal_(network.head("x").weight)
    rows = {"x": images(16, 1, 8, 8), "y": torch.linspace(-1, 1, 16)}
    train(
        LikelihoodObjective(network, Gaussian()),
        TensorSource(rows),
        training=Training(max_epochs=2, batch_size=8, device="cpu"),
    )
    for name, tensor in frozen.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    changed = {n for n, t in module.state_dict().items() if not torch.equal(t, free[n])}
    assert "head.weight" in changed
    assert any("running_mean" in n for n in changed) == (freeze != "all")


def test_one_image_in_training_takes_the_running_statistics() -> None:
    module = seeded(lambda: ResNet().build((1, 8, 8)))
    before = {name: t.clone() for name, t in module.state_dict().items()}
    x = images(1, 1, 8, 8)
    found = module.train()(x)
    assert all(m.training for m in module.modules() if isinstance(m, nn.BatchNorm2d))
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    torch.testing.assert_close(found, module.eval()(x))


def test_weights_by_name(resnet, monkeypatch) -> None:
    model, path = resnet
    asked = []

    def fetch(url: str, **options: object) -> dict[str, torch.Tensor]:
        asked.append(url)
        return torch.load(path, weights_only=True)

    api = torchvision.models._api
    monkeypatch.setattr(api, "load_state_dict_from_url", fetch)
    x = images(1, 3, 64, 64)
    for name in ("DEFAULT", "IMAGENET1K_V1"):
        module = ResNet(weights=name).build((3, 64, 64)).eval()
        torch.testing.assert_close(module.features(x), model(x))
    assert len(asked) == 2
    assert "resnet18" in asked[0]

    def fail(url: str, **options: object) -> None:
        raise urllib.error.URLError("no route")

    monkeypatch.setattr(api, "load_state_dict_from_url", fail)
    with pytest.raises(ParameterError, match=r"cannot be fetched.*no route.*a file"):
        ResNet(weights="DEFAULT").build((3, 8, 8))


@pytest.mark.parametrize(
    ("encoder", "words"),
    [
        (ResNet(weights="IMAGENET1K_V3"), "Did you mean 'IMAGENET1K_V1'"),
        (ResNet(weights=3), "None, 'DEFAULT', "),
        (ResNet(weights="nowhere.pt"), "no such file"),
        (ViT(weights="DEFAULT"), "no weights of 'vit_tiny'"),
    ],
)
def test_weights_that_are_not_there(encoder, words) -> None:
    with pytest.raises(ParameterError, match=f"'weights' of .*{words}"):
        encoder.build((3, 8, 8))


class _Code:
    def __reduce__(self):
        return print, ("executed",)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize(
    "content", [b"", b"no weights", pickle.dumps(_Code(), protocol=2)]
)
def test_files_that_are_no_state_dict(tmp_path, suffix, content, capsys) -> None:
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    with pytest.raises(ParameterError, match=r"'weights' of ResNet.*Reading failed"):
        ResNet(weights=str(path)).build((3, 8, 8))
    assert capsys.readouterr().out == ""


def test_state_dicts_that_do_not_fit(tmp_path, resnet) -> None:
    path = tmp_path / "weights.pt"
    full = torch.load(resnet[1], weights_only=True)
    lacking = {k: v for k, v in full.items() if k != "bn1.bias"}
    for state, words in (
        ([1, 2], "does not hold a dict of tensors"),
        (lacking, r"1 are missing.*bn1\.bias"),
        ({**full, "more": torch.zeros(1)}, "1 are not known.*'more'"),
        ({**full, "bn1.bias": torch.zeros(3)}, "size mismatch"),
    ):
        torch.save(state, path)
        with pytest.raises(ParameterError, match=f"(?s)'weights' of ResNet.*{words}"):
            ResNet(weights=path).build((3, 8, 8))


@pytest.mark.parametrize(
    ("encoder", "parameter"),
    [
        (ResNet(depth=20), "depth"),
        (ResNet(dropout=1), "dropout"),
        (ResNet(output_dim=0), "output_dim"),
        (EfficientNet(variant="b9"), "variant"),
        (ViT(variant="b16"), "variant"),
        (ViT(patch_size=0), "patch_size"),
        (ViT(depth=0), "depth"),
        (ViT(dim=10, heads=4), "dim"),
    ],
)
def test_bad_parameters_are_named(encoder, parameter) -> None:
    with pytest.raises(ParameterError, match=f"'{parameter}' of "):
        encoder.build((3, 16, 16))
    with pytest.raises(ParameterError, match="'input_shape' of "):
        type(encoder)().build((16,))


def test_named_variants_of_the_vit_have_their_sizes() -> None:
    sizes = ViT("b_16")._size()
    assert sizes == (16, 768, 12, 12)
    assert ViT("l_32", patch_size=8)._size() == (8, 1024, 24, 16)
