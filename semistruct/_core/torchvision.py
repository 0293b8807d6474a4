"""The one door to torchvision: it is optional, and it is imported when it is used.

Some builds of torchvision do not import beside a torch without CUDA, since the schemas
of two operators are missing ("operator torchvision::nms does not exist"). Declaring
them is enough for models and transforms; the operators themselves stay without a
kernel. A complete installation never comes to that.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from types import ModuleType

import torch

from semistruct.exceptions import DependencyError

__all__ = ["import_torchvision"]

_SCHEMAS = {
    name: f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
    for name in ("nms", "qnms")
}
_KEPT: list[torch.library.Library] = []  # a schema lives as long as its Library


def import_torchvision(owner: str) -> ModuleType:
    """Import torchvision, its models and its transforms with it.

    Parameters
    ----------
    owner : str
        What needs it, for the message.

    Returns
    -------
    module
        ``torchvision``, with ``models`` and ``transforms.v2`` loaded.

    Raises
    ------
    DependencyError
        If it is not installed, or cannot be imported beside this torch.

    Examples
    --------
    >>> from semistruct._core.torchvision import import_torchvision
    >>> import_torchvision("ResNet").models.resnet18.__name__
    'resnet18'
    """
    try:
        with warnings.catch_warnings():
            # no readers of image files: Pillow reads ours
            warnings.filterwarnings("ignore", "Failed to load image Python extension")
            return _import()
    except ModuleNotFoundError as error:
        if error.name != "torchvision":
            raise
        raise DependencyError(
            f"{owner} needs torchvision, which is not installed. Install it with: "
            "pip install 'semistruct[images]'"
        ) from error
    except (ImportError, RuntimeError, OSError) as error:
        raise DependencyError(
            f"{owner} needs torchvision, which cannot be imported beside torch "
            f"{torch.__version__}: {error}. Install the release that belongs to this "
            "torch."
        ) from error


def _import() -> ModuleType:
    try:
        return _load()
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        _declare()
        return _load()


def _load() -> ModuleType:
    for name in ("torchvision", "torchvision.models", "torchvision.transforms.v2"):
        importlib.import_module(name)
    return sys.modules["torchvision"]


def _declare() -> None:
    """Declare the schemas that are missing and forget the import that failed."""
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name, schema in _SCHEMAS.items():
        if not hasattr(torch.ops.torchvision, name):
            library.define(schema)
    _KEPT.append(library)
    for name in [n for n in sys.modules if n.split(".")[0] == "torchvision"]:
        del sys.modules[name]
