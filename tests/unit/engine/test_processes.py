"""Two processes (gloo, on the CPU) give what one gives."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest
import torch

from semistruct.engine import Checkpoint, Training
from semistruct.engine._step import plan_steps
from semistruct.exceptions import ParameterError

SCRIPT = """
import os, signal, sys, warnings
import torch
from torch import nn
from semistruct.engine import (
    Callback, Checkpoint, Progress, Stage, TensorSource, Training, train
)
from semistruct.exceptions import TrainingError
from semistruct.families import Gaussian
from semistruct.networks import SemiStructuredNetwork
from semistruct.objectives import CoxObjective, LikelihoodObjective

torch.set_num_threads(1)
RANK = int(os.environ.get("RANK", "0"))

def data(n, seed):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 3, generator=g)
    y = x[:, 0] + 0.1 * torch.randn(n, generator=g)
    return {"x": x, "y": y, "weight": torch.rand(n, generator=g).double()}

def network(seed=0):
    torch.manual_seed(seed)
    encoder = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 8))
    return SemiStructuredNetwork({"x": encoder}, {"x": 8}, 1)

def plain(n=201, validation=True, **options):
    # each process starts from weights of its own: those of the first one count
    objective = LikelihoodObjective(network(seed=RANK), Gaussian())
    settings = Training(**({"max_epochs": 3, "batch_size": 50, "learning_rate": 0.02,
                            "device": "cpu"} | options))
    held_out = TensorSource(data(50, 1)) if validation else None
    result = train(objective, TensorSource(data(n, 0)), held_out, training=settings,
                   callbacks=[Progress()])
    return objective.state_dict(), result.history

def stopped():
    class Stop(Callback):
        def on_step_end(self, state):
            state.stop = state.rank == 1 and state.step == 3
    objective = LikelihoodObjective(network(), Gaussian())
    result = train(objective, TensorSource(data(100, 0)), callbacks=[Stop()],
                   training=Training(9, 20, device="cpu"))
    return {}, [result.reason, result.n_epochs]

def different():
    try:
        train(LikelihoodObjective(network(), Gaussian()),
              TensorSource(data(100 + RANK, 0)), training=Training(1, device="cpu"))
    except TrainingError as error:
        return {}, [str(error)]

def cox():
    rows = data(40, 0)
    rows = {"x": rows["x"], "time": rows["y"].exp(), "event": rows["x"][:, 1] > -1}
    objective = CoxObjective(network())
    result = train(objective, TensorSource(rows), TensorSource(rows),
                   training=Training(2, 20, 0.02, device="cpu"))
    return objective.state_dict(), result.history

def resumed(folder):
    class Fail(Callback):
        def on_step_end(self, state):
            if state.step == 6:
                raise KeyError
    settings = Training(3, 50, 0.02, ema=0.9, device="cpu",
                        checkpoint=Checkpoint(folder, every_steps=4))
    for callbacks in ([Fail()], []):
        objective = LikelihoodObjective(network(), Gaussian())
        try:
            result = train(objective, TensorSource(data(201, 0)), training=settings,
                           callbacks=callbacks)
        except KeyError:
            pass
    whole = Training(3, 50, 0.02, ema=0.9, device="cpu")
    other = LikelihoodObjective(network(), Gaussian())
    train(other, TensorSource(data(201, 0)), training=whole)
    pairs = zip(objective.parameters(), other.parameters())
    return {}, [all(torch.equal(a, b) for a, b in pairs)]

RUNS = {
    "plain": lambda: plain(),
    "tiny": lambda: plain(n=51, batch_size=1, max_epochs=1, validation=False),
    "thirds": lambda: plain(n=9, batch_size=2, accumulate=2, validation=False),
    "accumulated": lambda: plain(accumulate=3, batch_size=16, ema=0.5,
                                 schedule="cosine"),
    "stages": lambda: plain(stages=(Stage(2, ("encoders.*",)), Stage(2))),
    "bf16": lambda: plain(precision="bf16"),
    "cox": cox,
    "stopped": stopped,
    "different": different,
    "resumed": lambda: resumed(sys.argv[3]),
    "fsdp": lambda: plain(parallel="fsdp"),
}
names = sys.argv[2].split(",")
out = {name: RUNS[name]() for name in names}
if RANK == 0:
    torch.save(out, sys.argv[1])
"""
ONE = "plain,tiny,thirds,accumulated,stages,bf16,cox"
TWO = ONE + ",stopped,different,resumed,fsdp"


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> dict[str, dict]:
    """Run the script by two processes, as torchrun starts them, and by one."""
    folder = tmp_path_factory.mktemp("processes")
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = str(found.getsockname()[1])
    base = {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE")}
    base["OMP_NUM_THREADS"] = "1"
    running = []
    for key, rank, names in (("two", 0, TWO), ("two", 1, TWO), ("one", None, ONE)):
        places = {}
        if rank is not None:
            places = {
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": "2",
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": port,
            }
        command = [sys.executable, "-W", "error::UserWarning", "-c", SCRIPT]
        process = subprocess.Popen(
            [*command, str(folder / key), names, str(folder / "saved")],
            env=base | places,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append((key, process))
    held = {}
    try:
        for key, process in running:
            out, err = process.communicate(timeout=120)
            assert process.returncode == 0, err
            assert out == ""
            held[key] = torch.load(folder / key, weights_only=True)
    finally:
        for _, process in running:
            process.kill()
            process.communicate()
    return held


@pytest.mark.parametrize("run", ["plain", "tiny", "thirds", "accumulated", "stages"])
def test_two_processes_are_one(results, run) -> None:
    """Uneven batches (201 rows by 50) and empty shards (batches of 1) among them."""
    (one, first), (two, second) = results["one"][run], results["two"][run]
    assert max(float((one[k] - two[k]).abs().max()) for k in one) < 1e-6
    for a, b in zip(first, second, strict=True):
        assert a == pytest.approx(b, rel=1e-5, abs=1e-6)


def test_bf16_is_near(results) -> None:
    (one, _), (two, _) = results["one"]["bf16"], results["two"]["bf16"]
    assert max(float((one[k] - two[k]).abs().max()) for k in one) < 0.05


def test_shards_of_weights_are_whole_weights(results) -> None:
    (one, first), (two, second) = results["one"]["plain"], results["two"]["fsdp"]
    assert max(float((one[k] - two[k]).abs().max()) for k in one) < 1e-5
    for a, b in zip(first, second, strict=True):
        assert a == pytest.approx(b, rel=1e-4, abs=1e-5)


def test_risk_sets_are_those_of_a_process(results) -> None:
    (_, first), (_, second) = results["one"]["cox"], results["two"]["cox"]
    assert first[0] == pytest.approx(second[0])  # validation takes all rows at once
    # smaller risk sets: log 20 against log 10, about
    assert 0.3 < first[1]["train_loss"] - second[1]["train_loss"] < 1.0


def test_one_process_that_stops_stops_all(results) -> None:
    assert results["two"]["stopped"][1] == ["callback", 1]


def test_rows_that_differ_are_named(results) -> None:
    assert "differ in rows: [100, 101]" in results["two"]["different"][1][0]


def test_both_go_on_from_a_checkpoint(results) -> None:
    assert results["two"]["resumed"][1] == [True]


@pytest.mark.parametrize(
    ("n", "batch", "accumulate"), [(201, 50, 1), (7, 2, 3), (5, 1, 1)]
)
def test_shards_hold_every_row_once(n, batch, accumulate) -> None:
    from semistruct.engine._distributed import Processes

    order = torch.randperm(n)
    plans = [plan_steps(order, batch, accumulate, Processes(r, 3)) for r in range(3)]
    seen = []
    for plan in plans:
        shares = [counts for share in plan.shares for counts in share]
        assert [len(s) for s in plan.shares] == [len(s) for s in plans[0].shares]
        for piece, counts in zip(plan.pieces, shares, strict=True):
            assert len(piece) > 0
            seen += piece.tolist() if counts else []
    assert sorted(seen) == list(range(n))


@pytest.mark.parametrize(
    "options", [{"precision": "fp16"}, {"checkpoint": Checkpoint("x")}], ids=str
)
def test_what_does_not_go_with_shards_is_named(options) -> None:
    with pytest.raises(ParameterError, match="'parallel' of Training"):
        Training(parallel="fsdp", **options).check()
