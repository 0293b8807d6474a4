"""Saved models: a folder with ``model.json`` and ``arrays.safetensors``; no code in it.

A state is a tree of JSON types with NumPy arrays and torch tensors as leaves. Writing
puts the arrays into one safetensors file; reading puts them back. Nothing is pickled,
so that loading a model from a stranger runs nothing.
"""

from __future__ import annotations

import json
import math
import os
import secrets
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch

from semistruct.exceptions import PersistenceError

__all__ = ["FORMAT_VERSION", "read_state", "write_state"]

FORMAT = "semistruct-model"
FORMAT_VERSION = 1
_JSON, _ARRAYS = "model.json", "arrays.safetensors"
_DTYPES = frozenset(
    ["bool", "float16", "float32", "float64"]
    + [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
)


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
        If a leaf cannot be written, or ``folder`` holds something else than a saved
        model; then nothing is touched.
    """
    from safetensors.numpy import save_file

    target = Path(folder).resolve()
    if target.exists() and not _replaceable(target):
        raise PersistenceError(
            f"{target} exists and holds something else than a saved model: it is left "
            "as it is. Choose another folder."
        )
    arrays: dict[str, np.ndarray] = {}
    tree = _split(state, arrays, "")
    document = {"format": FORMAT, "version": FORMAT_VERSION, "state": tree}
    text = json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False)
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh, old = (
        target.parent / f".{target.name}.{secrets.token_hex(8)}.{word}"
        for word in ("new", "old")
    )
    fresh.mkdir()
    try:
        (fresh / _JSON).write_text(text, encoding="utf-8")
        save_file(arrays, fresh / _ARRAYS)
        if target.exists():
            target.rename(old)
        fresh.rename(target)
    finally:
        if old.exists() and not target.exists():
            old.rename(target)
        for left in (fresh, old):
            if left.exists():
                shutil.rmtree(left)


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
    except (OSError, ValueError, KeyError, SafetensorError) as error:
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
    if not isinstance(document.get("state"), dict):
        raise PersistenceError(f"{source / _JSON} holds no state.")
    return _join(document["state"], arrays)


def _replaceable(path: Path) -> bool:
    """Whether a folder is empty, or holds a saved model and nothing else."""
    names = {p.name for p in path.iterdir()} if path.is_dir() else {""}
    return not names or names == {_JSON, _ARRAYS}


def _split(value: Any, arrays: dict[str, np.ndarray], path: str) -> Any:
    if isinstance(value, torch.Tensor | np.ndarray):
        name = str(getattr(value.dtype, "name", value.dtype)).removeprefix("torch.")
        if name not in _DTYPES:
            raise PersistenceError(
                f"An array of dtype {name} at {path!r} cannot be saved; allowed are "
                "booleans, and integers and floats of at most 64 bits."
            )
        if isinstance(value, torch.Tensor):
            value = value.detach().cpu().numpy()
        key = path
        while key in arrays:  # {"a/b": …, "a": {"b": …}}
            key += "'"
        arrays[key] = np.array(value, dtype=name, order="C", copy=True)
        return {"$array": key}
    if isinstance(value, dict):
        odd = [k for k in value if not isinstance(k, str)]
        if odd:
            raise PersistenceError(f"The key {odd[0]!r} at {path!r} is not a string.")
        escaped = {("$" + k if k.startswith("$") else k): v for k, v in value.items()}
        return {k: _split(v, arrays, f"{path}/{k}") for k, v in escaped.items()}
    if isinstance(value, list | tuple):
        return [_split(v, arrays, f"{path}/{i}") for i, v in enumerate(value)]
    if isinstance(value, np.generic) and value.dtype.kind in "biufU":
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
            except (KeyError, TypeError) as error:
                raise PersistenceError(f"The array {error} is not there.") from error
        if set(value) == {"$float"}:
            try:
                return float(value["$float"])
            except (TypeError, ValueError) as error:
                raise PersistenceError(f"A saved number is none: {error}.") from error
        return {k.removeprefix("$"): _join(v, arrays) for k, v in value.items()}
    if isinstance(value, list):
        return [_join(v, arrays) for v in value]
    return value
