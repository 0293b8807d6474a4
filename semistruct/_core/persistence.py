"""Saved models: a folder with ``model.json`` and ``arrays.safetensors``; no code in it.

A state is a tree of JSON types with NumPy arrays and torch tensors as leaves. Writing
puts the arrays into one safetensors file; reading puts them back. Nothing is pickled,
so that loading a model from a stranger runs nothing.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from semistruct.exceptions import PersistenceError

__all__ = ["FORMAT_VERSION", "read_state", "write_state"]

FORMAT = "semistruct-model"
FORMAT_VERSION = 1
_JSON, _ARRAYS = "model.json", "arrays.safetensors"


def write_state(folder: str | os.PathLike[str], state: dict[str, Any]) -> None:
    """Write a state into a folder; a folder that was there is replaced whole.

    Parameters
    ----------
    folder : path-like
        Where to. It is written beside its place first and then renamed, so that an
        error leaves the old one as it was.
    state : dict
        JSON types, NumPy arrays and torch tensors, nested.

    Raises
    ------
    PersistenceError
        If a leaf cannot be written, or ``folder`` is something else than a saved model.
    """
    from safetensors.numpy import save_file

    target = Path(folder)
    if target.exists() and not (target / _JSON).is_file() and not _empty(target):
        raise PersistenceError(
            f"{target} exists and is no saved model: it is left as it is. Choose "
            "another folder."
        )
    arrays: dict[str, np.ndarray] = {}
    tree = _split(state, arrays, "")
    document = {"format": FORMAT, "version": FORMAT_VERSION, "state": tree}
    text = json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False)
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        (fresh / _JSON).write_text(text, encoding="utf-8")
        save_file(arrays, fresh / _ARRAYS)
        if target.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
            target.rename(old / "old")
            fresh.rename(target)
            shutil.rmtree(old)
        else:
            fresh.rename(target)
    finally:
        if fresh.exists():
            shutil.rmtree(fresh)


def read_state(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a state that `write_state` wrote.

    Raises
    ------
    PersistenceError
        If the folder is no saved model, or one of a newer format.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    source = Path(folder)
    try:
        document = json.loads((source / _JSON).read_text(encoding="utf-8"))
        arrays = load_file(source / _ARRAYS)
    except (OSError, ValueError, SafetensorError) as error:
        raise PersistenceError(
            f"{source} is not a saved model: {error}. A saved model is the folder that "
            "model.save(folder) wrote."
        ) from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise PersistenceError(f"{source / _JSON} is not of the format {FORMAT!r}.")
    if document.get("version") != FORMAT_VERSION:
        raise PersistenceError(
            f"{source} has format version {document.get('version')!r}; this version of "
            f"semistruct reads version {FORMAT_VERSION}. Update semistruct."
        )
    return _join(document["state"], arrays)


def _empty(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def _split(value: Any, arrays: dict[str, np.ndarray], path: str) -> Any:
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "biuf":
            raise PersistenceError(
                f"An array of dtype {value.dtype} at {path!r} cannot be saved; allowed "
                "are booleans, integers and floats."
            )
        arrays[path] = np.ascontiguousarray(value).reshape(value.shape)
        return {"$array": path}
    if isinstance(value, dict):
        odd = [k for k in value if not isinstance(k, str)]
        if odd:
            raise PersistenceError(f"The key {odd[0]!r} at {path!r} is not a string.")
        return {k: _split(v, arrays, f"{path}/{k}") for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_split(v, arrays, f"{path}/{i}") for i, v in enumerate(value)]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": repr(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise PersistenceError(f"A {type(value).__name__} at {path!r} cannot be saved.")


def _join(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, dict):
        if set(value) == {"$array"}:
            try:
                return arrays[value["$array"]]
            except KeyError as error:
                raise PersistenceError(f"The array {error} is not there.") from error
        if set(value) == {"$float"}:
            return float(value["$float"])
        return {k: _join(v, arrays) for k, v in value.items()}
    if isinstance(value, list):
        return [_join(v, arrays) for v in value]
    return value
