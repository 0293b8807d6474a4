"""Checkpoints: what was stopped goes on as if it never had been."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from semistruct.engine import (
    Callback,
    Checkpoint,
    Cosine,
    ParameterGroups,
    Plateau,
    Stage,
    TensorSource,
    Training,
    train,
)
from semistruct.exceptions import ParameterError, PersistenceError

SCRIPT = """
import os, signal, sys
import torch
from torch import nn
from semistruct.engine import Callback, Checkpoint, TensorSource, Training, train
from semistruct.families import Gaussian
from semistruct.networks import SemiStructuredNetwork
from semistruct.objectives import LikelihoodObjective

class Kill(Callback):
    def __init__(self, at):
        self.at = at

    def on_step_end(self, state):
        if state.step == self.at:
            os.kill(os.getpid(), signal.SIGKILL)

def run(checkpoint, kill_at=0):
    g = torch.Generator().manual_seed(0)
    x = torch.randn(300, 3, generator=g)
    y = x[:, 0] + 0.1 * torch.randn(300, generator=g)
    torch.manual_seed(0)
    encoder = nn.Sequential(
        nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.3), nn.Linear(8, 8)
    )
    objective = LikelihoodObjective(
        SemiStructuredNetwork({"x": encoder}, {"x": 8}, 1), Gaussian()
    )
    settings = Training(
        4, 32, 0.02, ema=0.9, schedule="cosine", device="cpu", checkpoint=checkpoint
    )
    result = train(
        objective,
        TensorSource({"x": x[:220], "y": y[:220]}),
        TensorSource({"x": x[220:], "y": y[220:]}),
        training=settings, seed=5, callbacks=[Kill(kill_at)],
    )
    return objective.state_dict(), result
"""
MAIN = "torch.set_num_threads(1); run(Checkpoint(sys.argv[1], every_steps=3), 11)"


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX's")
def test_killed_and_resumed_is_as_never_stopped(tmp_path) -> None:
    command = [sys.executable, "-c", SCRIPT + MAIN, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert max(os.listdir(tmp_path)) == "step-000000009"  # 7 steps an epoch
    space: dict = {}
    exec(SCRIPT, space)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng():
            one, first = space["run"](None)
            two, second = space["run"](Checkpoint(tmp_path, every_steps=3))
    finally:
        torch.set_num_threads(before)
    assert same(one, two)
    assert first == second


def weights(objective) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in objective.state_dict().items()}


def same(one, two) -> bool:
    return all(torch.equal(one[key], two[key]) for key in one)


class Breakdown(Exception):
    pass


class At(Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, state) -> None:
        if state.step == self.step:
            raise Breakdown


VARIANTS = {
    "plain": {},
    "adam, one cycle": {"optimizer": "adam", "schedule": "one_cycle"},
    "sgd, accumulated": {"optimizer": "sgd", "accumulate": 3},
    "average, plateau": {"ema": 0.8, "schedule": Plateau(patience=0)},
    "fp16": {"precision": "fp16"},
    "two optimisers": {"groups": ParameterGroups({}, {"heads*": "sgd"}, 0.5)},
    "stages": {
        "stages": (Stage(2, ("heads*",)), Stage(3, schedule=Cosine(4), freeze=("e*",)))
    },
}


@pytest.mark.parametrize("stop_at", [1, 8, 13, 21, 30])
@pytest.mark.parametrize("variant", list(VARIANTS))
def test_every_variant_goes_on(
    tmp_path, source, validation, new_objective, variant, stop_at
) -> None:
    options = {"max_epochs": 5, "batch_size": 32, "learning_rate": 0.02}
    options |= {"device": "cpu", **VARIANTS[variant]}
    if variant == "sgd, accumulated":
        stop_at, options["batch_size"] = min(stop_at, 14), 24
    one, two = new_objective(dropout=0.3), new_objective(dropout=0.3)
    whole = train(one, source, validation, training=Training(**options), seed=3)
    saved = Training(**options, checkpoint=Checkpoint(tmp_path, every_steps=4))
    with pytest.raises(Breakdown):
        train(two, source, validation, training=saved, seed=3, callbacks=[At(stop_at)])
    again = new_objective(dropout=0.3, seed=9)  # its weights do not matter
    if not any(tmp_path.iterdir()):
        again = new_objective(dropout=0.3)  # nothing was saved yet
    result = train(again, source, validation, training=saved, seed=3)
    assert same(weights(one), weights(again))
    assert result == whole


def test_a_finished_training_is_not_trained_again(
    tmp_path, source, validation, new_objective
) -> None:
    noisy = {"max_epochs": 40, "batch_size": 8, "learning_rate": 0.5, "patience": 3}
    settings = Training(**noisy, checkpoint=Checkpoint(tmp_path))
    one, two = new_objective(), new_objective()
    first = train(one, source, validation, training=settings)
    assert first.reason == "early_stopping"
    second = train(two, source, validation, training=settings, callbacks=[At(1)])
    assert second == first
    assert same(weights(one), weights(two))
    assert len(list(tmp_path.iterdir())) == 2


def test_ctrl_c_saves_where_it_stops(tmp_path, source, new_objective) -> None:
    class Press(Callback):
        def on_step_end(self, state) -> None:
            if state.step == 10:
                signal.raise_signal(signal.SIGINT)

    options = {"max_epochs": 3, "batch_size": 32}
    saved = Training(**options, checkpoint=Checkpoint(tmp_path))
    one, two = new_objective(0.2), new_objective(0.2)
    train(one, source, training=Training(**options))
    stopped = train(two, source, training=saved, callbacks=[Press()])
    assert stopped.reason == "interrupted"
    result = train(two, source, training=saved, callbacks=[At(10)])
    assert result.reason == "max_epochs"
    assert same(weights(one), weights(two))


def test_resume_false_begins_anew(tmp_path, source, new_objective) -> None:
    one, two = new_objective(0.2), new_objective(0.2)
    train(one, source, training=Training(3, 32, checkpoint=Checkpoint(tmp_path)))
    anew = Checkpoint(tmp_path, resume=False)
    result = train(two, source, training=Training(2, 32, checkpoint=anew))
    assert result.n_epochs == 2
    assert max(os.listdir(tmp_path)) == "step-000000014"


@pytest.mark.parametrize("damage", ["truncate", "flip", "lose", "half"])
def test_a_damaged_one_is_passed_over(
    tmp_path, source, validation, new_objective, damage
) -> None:
    one, two = new_objective(0.2), new_objective(0.2)
    settings = Training(4, 32, checkpoint=Checkpoint(tmp_path, every_steps=5))
    whole = train(one, source, validation, training=Training(4, 32))
    with pytest.raises(Breakdown):
        train(two, source, validation, training=settings, callbacks=[At(17)])
    last = tmp_path / max(os.listdir(tmp_path))
    arrays = last / "arrays.safetensors"
    if damage == "truncate":
        arrays.write_bytes(arrays.read_bytes()[:-10])
    elif damage == "flip":
        held = bytearray(arrays.read_bytes())
        held[-5] ^= 1
        arrays.write_bytes(held)
    elif damage == "lose":
        arrays.unlink()
    else:  # killed while it was written
        shutil.copytree(last, tmp_path / "partial")
        (tmp_path / ".partial.abc.new").mkdir()
        result = train(two, source, validation, training=settings)
        assert not (tmp_path / "partial").exists()
        assert not (tmp_path / ".partial.abc.new").exists()
        assert result == whole
        return
    with pytest.warns(UserWarning, match=r"1 of the checkpoints .* step 14"):
        result = train(two, source, validation, training=settings)
    assert same(weights(one), weights(two))
    assert result == whole


def test_when_all_are_damaged_it_says_so(tmp_path, source, objective) -> None:
    settings = Training(2, 32, checkpoint=Checkpoint(tmp_path))
    train(objective, source, training=settings)
    for path in tmp_path.iterdir():
        (path / "model.json").write_text("{}")
    with pytest.raises(PersistenceError, match=r"no checkpoint in .*resume=False"):
        train(objective, source, training=settings)


def test_another_training_is_refused_by_name(
    tmp_path, source, validation, rows, new_objective
) -> None:
    def go(objective=None, data=source, held_out=validation, seed=1, **options) -> None:
        settings = Training(
            **({"max_epochs": 1, "batch_size": 32} | options),
            checkpoint=Checkpoint(tmp_path),
        )
        train(
            objective or new_objective(), data, held_out, training=settings, seed=seed
        )

    go()
    other = TensorSource(rows | {"y": rows["y"].clone()})
    go(data=other)  # the same values
    other.tensors["y"][17] += 1e-6
    wider = new_objective()
    wider.network.heads[0] = nn.Linear(8, 1, bias=False)
    for name, options in {
        "batch_size: 32 there, 16 now": {"batch_size": 16},
        "schedule": {"schedule": "cosine"},
        "seed: 1 there, 2 now": {"seed": 2},
        "source": {"data": other},
        "validation": {"held_out": None},
        "network": {"objective": wider},
    }.items():
        with pytest.raises(PersistenceError, match=f"another {name}"):
            go(**options)
    go(num_workers=1)  # how rows are read is free


def test_a_state_is_json_and_arrays(tmp_path, source, objective) -> None:
    settings = Training(1, 32, ema=0.9, checkpoint=Checkpoint(tmp_path / "a" / "b"))
    train(objective, source, training=settings)
    (folder,) = (tmp_path / "a" / "b").iterdir()
    names = {"model.json", "arrays.safetensors", "digest.txt"}
    assert {p.name for p in folder.iterdir()} == names
    held = json.loads((folder / "model.json").read_text())["state"]
    assert held["about"]["batch_size"] == 32
    assert held["epoch"] == 1


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"folder": 3}, "'folder' of Checkpoint"),
        ({"every_epochs": 0}, "'every_epochs' of Checkpoint"),
        ({"every_steps": 0}, "'every_steps' of Checkpoint"),
        ({"keep": 0}, "'keep' of Checkpoint"),
        ({"resume": 1}, "'resume' of Checkpoint"),
    ],
)
def test_bad_options_are_named(kwargs, match) -> None:
    with pytest.raises(ParameterError, match=match):
        Training(checkpoint=Checkpoint(**({"folder": Path("x")} | kwargs))).check()
