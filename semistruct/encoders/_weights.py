"""Pretrained weights: found by name or read from a file, and fitted to other images.

Letters: O output and I input channels of a convolution, D width of a token, h and w
patches along height and width.
"""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from semistruct._core.torchvision import import_torchvision
from semistruct._core.validation import suggest
from semistruct.exceptions import ParameterError

__all__ = ["Weights", "fill", "find_weights", "resize_positions", "stem_kernels"]

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_UNREADABLE = (OSError, RuntimeError, EOFError, pickle.UnpicklingError, SafetensorError)
_FILES = (".pt", ".pth", ".safetensors")


class Weights(NamedTuple):
    """A state dict, and how the images that it was trained on were normalised."""

    state: dict[str, Tensor]
    mean: tuple[float, ...]
    std: tuple[float, ...]


def find_weights(weights: Any, architecture: str, owner: str) -> Weights:
    """Read weights from a file, or find those that torchvision has under a name.

    Parameters
    ----------
    weights : str or path
        File that ends in ``.pt``, ``.pth`` or ``.safetensors`` and holds a state dict
        with torchvision's keys, or a name such as ``"DEFAULT"``.
    architecture : str
        Torchvision's name of the model, such as ``"resnet18"``.
    owner : str
        Encoder, for messages.

    Returns
    -------
    Weights
        Those of a file are taken to expect ImageNet's normalisation.

    Raises
    ------
    ParameterError
        If there is no such file or name, or the file is no state dict.
    """
    if isinstance(weights, os.PathLike) or (
        isinstance(weights, str) and weights.endswith(_FILES)
    ):
        return Weights(_read(Path(weights), owner), *_IMAGENET)
    models = import_torchvision(owner).models
    known: dict[str, Any] = {}
    if architecture in models.list_models():
        known = dict(models.get_model_weights(architecture).__members__)
    if not isinstance(weights, str) or weights not in known:
        hint = f"torchvision has no weights of {architecture!r}; give a file."
        near = suggest(weights, known) if isinstance(weights, str) else ""
        raise _refused(weights, owner, known, near if known else hint)
    found = known[weights]
    try:
        state = found.get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError) as error:  # URLError is an OSError
        hint = f"They cannot be fetched ({error}); give a file that holds them."
        raise _refused(weights, owner, known, hint) from error
    preset = found.transforms()
    return Weights(state, tuple(preset.mean), tuple(preset.std))


def _read(path: Path, owner: str) -> dict[str, Tensor]:
    if not path.is_file():
        raise _refused(os.fspath(path), owner, {}, "There is no such file.")
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        hint = f"Reading failed: {error}"
        raise _refused(os.fspath(path), owner, {}, hint) from error
    if not isinstance(state, dict) or not all(
        isinstance(value, Tensor) for value in state.values()
    ):
        hint = "The file does not hold a dict of tensors; save model.state_dict()."
        raise _refused(os.fspath(path), owner, {}, hint)
    return dict(state)


def stem_kernels(weight: Tensor, channels: int) -> Tensor:
    """Fit the first convolution's kernels (O, I, …) to another number of channels.

    Each new channel gets the mean over the old ones, times I / channels, so that an
    image whose channels are all alike gives what it gave before.

    Parameters
    ----------
    weight : Tensor of shape (O, I, height, width)
        Trained kernels.
    channels : int
        Number of channels C of the images here.

    Returns
    -------
    Tensor of shape (O, C, height, width)
        The same tensor where C = I.
    """
    before = weight.shape[1]
    if before == channels:
        return weight
    mean = weight.mean(dim=1, keepdim=True)
    return (mean * (before / channels)).repeat(1, channels, 1, 1)


def resize_positions(positions: Tensor, grid: tuple[int, int]) -> Tensor:
    """Interpolate position embeddings (1, 1 + s·s, D), bicubic, to (1, 1 + h·w, D).

    The first one belongs to the class token and stays; the others are of a square.
    """
    count = positions.shape[1] - 1
    side = round(count**0.5)
    if (side, side) == grid:
        return positions
    first, rest = positions[:, :1], positions[:, 1:]
    square = rest.reshape(1, side, side, -1).permute(0, 3, 1, 2)  # (1, D, s, s)
    resized = functional.interpolate(
        square, size=grid, mode="bicubic", align_corners=True
    )
    return torch.cat([first, resized.flatten(2).transpose(1, 2)], dim=1)


def fill(model: nn.Module, state: dict[str, Tensor], head: str, owner: str) -> None:
    """Fill weights into a model in place, all but those of its head.

    Parameters
    ----------
    model : torch.nn.Module
        Of torchvision.
    state : dict of str to Tensor
        Weights, the head's among them or not.
    head : str
        What the names of the head's weights begin with.
    owner : str
        Encoder, for messages.

    Raises
    ------
    ParameterError
        If a weight is missing, is not known to the model, or has another shape.
    """
    given = {name: t for name, t in state.items() if not name.startswith(head)}
    try:
        keys = model.load_state_dict(given, strict=False)
    except RuntimeError as error:
        raise _misfit(owner, list(given), str(error)) from error
    missing = [
        name
        for name in keys.missing_keys
        if not name.startswith(head) and not name.endswith("num_batches_tracked")
    ]
    if missing or keys.unexpected_keys:
        words = [
            f"{len(names)} {what}, such as {names[0]!r}."
            for names, what in (
                (missing, "are missing"),
                (keys.unexpected_keys, "are not known"),
            )
            if names
        ]
        raise _misfit(owner, list(given), " ".join(words))


def _misfit(owner: str, names: list[str], hint: str) -> ParameterError:
    return ParameterError(
        parameter="weights",
        owner=owner,
        allowed="the weights of this architecture, with torchvision's names",
        given=names[:3],
        hint=hint,
    )


def _refused(given: Any, owner: str, known: Any, hint: str) -> ParameterError:
    names = "".join(f"{name!r}, " for name in ("DEFAULT", *known) if known)
    return ParameterError(
        parameter="weights",
        owner=owner,
        allowed=f"None, {names}or a file that ends in {', '.join(_FILES)}",
        given=given,
        hint=hint,
    )
