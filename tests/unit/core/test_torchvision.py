"""Torchvision comes when it is asked for, and its absence is a named error."""

from __future__ import annotations

import subprocess
import sys

import pytest

from semistruct._core import torchvision as shim
from semistruct._core.torchvision import import_torchvision
from semistruct.exceptions import DependencyError


def fresh(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_the_package_does_not_import_it_and_building_does() -> None:
    code = """
import sys, torch, semistruct
from semistruct.encoders import EfficientNet, ResNet, ViT
print("torchvision" in sys.modules)
for encoder in (ResNet(), EfficientNet(), ViT()):
    module = encoder.build((3, 16, 16)).eval()
    print(tuple(module(torch.zeros(2, 3, 16, 16)).shape))
print("torchvision" in sys.modules)
"""
    assert fresh(code).split("\n") == ["False", *["(2, 16)"] * 3, "True"]


def test_models_and_transforms_are_there_and_are_the_same_each_time() -> None:
    torchvision = import_torchvision("a test")
    assert torchvision is import_torchvision("a test") is sys.modules["torchvision"]
    image = torchvision.transforms.v2.functional.horizontal_flip
    assert callable(image)
    assert callable(torchvision.models.resnet18)


def test_a_missing_one_says_what_to_install(monkeypatch) -> None:
    for name in [n for n in sys.modules if n.split(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(DependencyError, match=r"ResNet needs.*semistruct\[images\]"):
        import_torchvision("ResNet")


def test_a_package_that_it_lacks_is_not_called_torchvision(monkeypatch) -> None:
    def fail() -> None:
        raise ModuleNotFoundError("No module named 'numpy'", name="numpy")

    monkeypatch.setattr(shim, "_load", fail)
    with pytest.raises(ModuleNotFoundError, match="numpy"):
        import_torchvision("ResNet")


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("compiled for another torch"),
        OSError("libcudart.so"),
        ImportError(),
    ],
)
def test_one_that_does_not_fit_torch_is_named(monkeypatch, error) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(shim, "_load", fail)
    with pytest.raises(DependencyError, match="cannot be imported beside torch"):
        import_torchvision("ResNet")


def test_missing_schemas_are_declared_once_and_then_it_is_imported_again(
    monkeypatch,
) -> None:
    calls = []

    def load() -> str:
        calls.append("load")
        if len(calls) == 1:
            raise RuntimeError("operator torchvision::nms does not exist")
        return "module"

    monkeypatch.setattr(shim, "_load", load)
    monkeypatch.setattr(shim, "_declare", lambda: calls.append("declare"))
    assert import_torchvision("ResNet") == "module"
    assert calls == ["load", "declare", "load"]
