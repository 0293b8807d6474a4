"""Checkpoints: the whole state of training, so that it can go on as if never stopped.

A checkpoint is a folder ``step-<number>`` as `write_state` makes it, with a digest of
its files. It is written beside its place, brought to disk, and then renamed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from semistruct._core.persistence import read_state, write_state
from semistruct._core.validation import check_bool, check_number
from semistruct.engine._finite import column
from semistruct.exceptions import ParameterError, PersistenceError
from semistruct.objectives import StepOutput

_PARTIAL, _DIGEST = "partial", "digest.txt"


@dataclass(frozen=True)
class Checkpoint:
    """Where and how often the state of training is saved.

    Training that is started again with the same settings, rows and seed goes on from
    the last checkpoint, in the middle of an epoch too, and on a CPU ends with the same
    weights, bit for bit. What is random in the workers of a `DatasetSource`, and what
    callbacks keep, is not in it.

    Parameters
    ----------
    folder : path-like
        Folder of its own for one training.
    every_epochs : int, default=1
        Save after each so many epochs, ≥ 1.
    every_steps : int, optional
        Save within epochs too, after each so many steps, ≥ 1.
    keep : int, default=2
        How many are kept, ≥ 1: where the last one cannot be read, the one before it is
        taken, with a warning.
    resume : bool, default=True
        Whether to go on from the last one; False begins anew and removes those there.

    Examples
    --------
    >>> from semistruct.engine import Checkpoint, Training
    >>> settings = Training(checkpoint=Checkpoint("run", every_steps=500))
    >>> settings.checkpoint.keep
    2
    """

    folder: str | os.PathLike[str]
    every_epochs: int = 1
    every_steps: int | None = None
    keep: int = 2
    resume: bool = True

    def check(self, owner: str = "Checkpoint") -> None:
        """Check the options.

        Parameters
        ----------
        owner : str, default="Checkpoint"
            Who is named in messages.
        """
        if not isinstance(self.folder, str | os.PathLike):
            raise ParameterError(
                parameter="folder", owner=owner, allowed="a path", given=self.folder
            )
        for name, none in (("every_epochs", False), ("every_steps", True), ("keep", 0)):
            check_number(
                getattr(self, name),
                parameter=name,
                owner=owner,
                low=1,
                integer=True,
                none=bool(none),
            )
        check_bool(self.resume, parameter="resume", owner=owner)


def save(checkpoint: Checkpoint, step: int, state: dict[str, Any]) -> None:
    """Write a checkpoint, and remove those that are not kept."""
    folder = Path(checkpoint.folder)
    folder.mkdir(parents=True, exist_ok=True)
    partial, target = folder / _PARTIAL, folder / f"step-{step:09d}"
    for left in (partial, *folder.glob(f".{_PARTIAL}.*")):
        shutil.rmtree(left, ignore_errors=True)
    write_state(partial, state)
    (partial / _DIGEST).write_text(_digest(partial), encoding="ascii")
    for path in partial.iterdir():
        _to_disk(path)
    _to_disk(partial)
    if target.exists():
        shutil.rmtree(target)
    partial.rename(target)
    _to_disk(folder)
    found = _steps(folder)
    later = [s for s in found if s > step]  # of a training that began anew
    for old in later + [s for s in found if s <= step][: -checkpoint.keep]:
        shutil.rmtree(found[old])


def load(checkpoint: Checkpoint, about: dict[str, Any]) -> dict[str, Any] | None:
    """Read the last checkpoint that is whole; None where there is none.

    Parameters
    ----------
    checkpoint : Checkpoint
        Where it lies.
    about : dict of str to JSON types
        What it must agree with, each under its name.

    Raises
    ------
    PersistenceError
        If it is of other settings or other rows, or if none can be read.
    """
    found = _steps(Path(checkpoint.folder))
    bad: list[str] = []
    for step in sorted(found, reverse=True):
        try:
            state = _read(found[step])
        except (PersistenceError, OSError) as error:
            bad.append(str(error))
            continue
        if bad:
            warnings.warn(
                f"train: {len(bad)} of the checkpoints in {checkpoint.folder} cannot "
                f"be read; training goes on from that of step {step}. {bad[0]}",
                UserWarning,
                stacklevel=4,
            )
        _check_about(state["about"], about, checkpoint)
        return state
    if bad:
        raise PersistenceError(
            f"train: no checkpoint in {checkpoint.folder} can be read. {bad[0]} Remove "
            "them, or give resume=False to begin anew."
        )
    return None


def clear(checkpoint: Checkpoint) -> None:
    """Remove the checkpoints of a folder."""
    for path in _steps(Path(checkpoint.folder)).values():
        shutil.rmtree(path)


def outputs_to_state(outputs: Sequence[StepOutput]) -> dict[str, Any]:
    """Give what the steps of an epoch gave so far, as columns."""
    parts = {}
    for name in dict.fromkeys(name for o in outputs for name in o.parts):
        at = [i for i, output in enumerate(outputs) if name in output.parts]
        values = column([outputs[i].parts[name] for i in at])
        parts[name] = {"at": at, "values": torch.tensor(values, dtype=torch.float64)}
    loss, n = (column([getattr(o, name) for o in outputs]) for name in ("loss", "n"))
    return {
        "loss": torch.tensor(loss, dtype=torch.float64),
        "n": torch.tensor(n, dtype=torch.float64),
        "parts": parts,
    }


def outputs_from_state(state: dict[str, Any], device: torch.device) -> list[StepOutput]:
    """Rebuild what `outputs_to_state` gave."""
    parts: list[dict[str, Tensor | float]] = [{} for _ in state["loss"]]
    for name, held in state["parts"].items():
        for at, value in zip(held["at"], held["values"].to(device), strict=True):
            parts[at][name] = value
    rows = zip(state["loss"].to(device), parts, state["n"].to(device), strict=True)
    return [StepOutput(*row) for row in rows]


def as_tensors(value: Any) -> Any:
    """Turn the arrays of a state, however nested, into tensors."""
    if isinstance(value, np.ndarray):
        return torch.tensor(value)
    if isinstance(value, dict):
        return {key: as_tensors(v) for key, v in value.items()}
    return [as_tensors(v) for v in value] if isinstance(value, list) else value


def optimizer_to_state(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Give what an optimiser has learned of its parameters, by their number."""
    return {str(k): v for k, v in optimizer.state_dict()["state"].items()}


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Go on from what `optimizer_to_state` gave."""
    whole = optimizer.state_dict()
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    laid_out = {}
    for key, values in state.items():
        like = parameters[int(key)]
        laid_out[int(key)] = {
            # in the memory layout of the parameter, as it was
            name: torch.empty_like(like, dtype=v.dtype).copy_(v)
            if isinstance(v, torch.Tensor) and v.shape == like.shape and v.ndim > 0
            else v
            for name, v in values.items()
        }
    optimizer.load_state_dict({**whole, "state": laid_out})


def _check_about(
    saved: dict[str, Any], now: dict[str, Any], checkpoint: Checkpoint
) -> None:
    for name in {**saved, **now}:
        if saved.get(name) != now.get(name):
            raise PersistenceError(
                f"train: the checkpoint in {checkpoint.folder} is of a training with "
                f"another {name}: {saved.get(name)!r} there, {now.get(name)!r} now. "
                "Give another folder, or resume=False to begin anew."
            )


def _read(path: Path) -> dict[str, Any]:
    written = (path / _DIGEST).read_text(encoding="ascii")
    if written != _digest(path):
        raise PersistenceError(f"{path} is damaged: its digest does not fit.")
    return read_state(path)


def _digest(path: Path) -> str:
    whole = hashlib.sha256()
    for file in sorted(p for p in path.iterdir() if p.name != _DIGEST):
        whole.update(file.name.encode())
        with file.open("rb") as stream:
            whole.update(hashlib.file_digest(stream, "sha256").digest())
    return whole.hexdigest()


def _steps(folder: Path) -> dict[int, Path]:
    """Find the checkpoints of a folder, in the order of their steps."""
    found = {int(p.name[5:]): p for p in folder.glob("step-" + "[0-9]" * 9)}
    return dict(sorted(found.items()))


def _to_disk(path: Path) -> None:
    if os.name != "posix":  # folders have no handle elsewhere
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
