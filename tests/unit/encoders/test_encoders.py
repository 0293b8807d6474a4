from __future__ import annotations

import pytest
import torch
from torch import nn

from semistruct._core.terms import Fuse, Image, Omics, Tabular, Text
from semistruct.encoders import (
    CNN,
    ENCODERS,
    MLP,
    Encoder,
    TextTransformer,
    build_encoder,
    get_encoder,
)
from semistruct.exceptions import ParameterError


@pytest.mark.parametrize(
    ("term", "kind"),
    [
        (Image("scan"), CNN),
        (Omics(("rna_*",)), MLP),
        (Tabular(("a", "b")), MLP),
        (Text("note"), TextTransformer),
    ],
)
def test_each_kind_of_term_has_a_default(term, kind) -> None:
    assert type(get_encoder(None, term)) is kind


def test_a_term_without_an_encoder_says_so() -> None:
    term = Fuse((Image("scan"), Text("note")))
    with pytest.raises(ParameterError, match=r"fuse\(.* has no encoder.*note"):
        get_encoder(None, term)


def test_names_and_objects() -> None:
    assert type(get_encoder("mlp", Image("scan"))) is MLP
    specification, module = CNN(width=4), nn.Linear(2, 2)
    assert get_encoder(specification, Image("scan")) is specification
    assert get_encoder(module, Image("scan")) is module


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(ParameterError, match=r"encoder.*image\(scan\).*'cnn'\?"):
        get_encoder("cn", Image("scan"))
    with pytest.raises(ParameterError, match="one of 'autoencoder', 'bag', "):
        get_encoder(3, Image("scan"))  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="an Encoder object"):
        get_encoder(CNN, Image("scan"))  # type: ignore[arg-type]


def test_the_registry_cannot_be_changed_by_accident() -> None:
    with pytest.raises(TypeError):
        ENCODERS["mine"] = CNN  # type: ignore[index]


@pytest.mark.parametrize(
    ("encoder", "shape", "parameter"),
    [
        (CNN(width=0), (1, 8, 8), "width"),
        (CNN(depth=1.5), (1, 8, 8), "depth"),
        (CNN(output_dim=0), (1, 8, 8), "output_dim"),
        (CNN(dropout=1.0), (1, 8, 8), "dropout"),
        (CNN(), (8,), "input_shape"),
        (CNN(), (1, 0, 8), "input_shape"),
        (MLP(hidden=(1,)), (3,), "hidden"),
        (MLP(hidden=64), (3,), "hidden"),
        (MLP(hidden="64"), (3,), "hidden"),
        (MLP(dropout=-0.1), (3,), "dropout"),
        (MLP(), (1, 8, 8), "input_shape"),
    ],
)
def test_bad_parameters_are_named(encoder, shape, parameter) -> None:
    with pytest.raises(ParameterError, match=f"'{parameter}' of [CM]"):
        encoder.build(shape)


def test_an_mlp_without_hidden_layers_is_linear() -> None:
    module = MLP(hidden=(), output_dim=2).build((3,))
    assert [type(child) for child in module] == [nn.Linear]


def test_cnn_sees_brightness_through_its_normalisation() -> None:
    module = CNN().build((1, 16, 16)).eval()
    image = torch.rand(1, 1, 16, 16)
    assert (module(image) - module(2 * image)).abs().max() > 1e-3


def test_cnn_keeps_the_place_of_a_stroke_in_a_tiny_image() -> None:
    module = CNN().build((1, 8, 8)).eval()
    image = torch.zeros(1, 1, 8, 8)
    image[..., 2, 1] = 3.0
    assert (module(image) - module(image.flip(3))).abs().max() > 1e-3


def test_a_users_module_is_copied_and_flattened() -> None:
    torch.manual_seed(0)
    own = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5))
    before = {key: value.clone() for key, value in own.state_dict().items()}
    module, q = build_encoder(own, (1, 5, 5))
    assert q == 18
    x = torch.randn(4, 1, 5, 5)
    own.eval()
    module.eval()
    assert torch.equal(module(x), own(x).flatten(1))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(1.0)
    for key, value in own.state_dict().items():
        assert torch.equal(value, before[key])


def test_the_dry_run_keeps_modes_and_the_global_random_state() -> None:
    own = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
    own[1].eval()  # frozen by the user
    state = torch.get_rng_state()
    module, _ = build_encoder(own, (3,))
    assert module[0].training
    assert not module[1].training
    assert torch.equal(module[1].running_mean, torch.zeros(4))
    assert torch.equal(torch.get_rng_state(), state)


def test_a_module_with_one_number_per_row() -> None:
    class Mean(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.mean((1, 2, 3))

    module, q = build_encoder(Mean(), (1, 4, 4))
    assert q == 1
    assert module(torch.ones(3, 1, 4, 4)).shape == (3, 1)


class _Pair(nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x, x


class _Pooled(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(0)


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (nn.Linear(4, 2), r"takes \(B, 3\).*It failed with"),
        (_Pair(), "one output tensor"),
        (_Pooled(), "first axis the rows"),
    ],
)
def test_a_module_that_does_not_fit_is_named(module, words) -> None:
    with pytest.raises(ParameterError, match=words):
        build_encoder(module, (3,))


def test_a_custom_specification() -> None:
    class Lazy(Encoder):
        def __init__(self, output_dim: int = 4) -> None:
            self.output_dim = output_dim

        def build(self, input_shape: tuple[int, ...]) -> nn.Module:
            return nn.Sequential(nn.Flatten(), nn.LazyLinear(self.output_dim))

    module, q = build_encoder(Lazy(output_dim=6), (2, 3))
    assert q == 6
    assert module(torch.zeros(1, 2, 3)).shape == (1, 6)
