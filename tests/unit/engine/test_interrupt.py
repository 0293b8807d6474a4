"""Ctrl-C: once ends well, twice raises, and workers leave it to the main process."""

from __future__ import annotations

import copy
import os
import signal
import subprocess
import sys
import threading

import pytest
import torch

from semistruct.engine import Callback, Training, TrainResult, train
from semistruct.objectives import Objective

QUICK = Training(max_epochs=6, batch_size=32, learning_rate=0.02)

SCRIPT = """
import time, torch
from torch import nn
from semistruct.engine import Callback, DatasetSource, Training, train
from semistruct.families import Gaussian
from semistruct.networks import SemiStructuredNetwork
from semistruct.objectives import LikelihoodObjective

class Slow(torch.utils.data.Dataset):
    def __len__(self):
        return 64
    def __getitem__(self, i):
        time.sleep(0.002)
        return {"x": torch.ones(2), "y": torch.tensor(1.0)}

class Tell(Callback):
    def on_step_end(self, state):
        if state.step == 20:
            print("ready", flush=True)

network = SemiStructuredNetwork({"x": nn.Linear(2, 2)}, {"x": 2}, 1)
result = train(
    LikelihoodObjective(network, Gaussian()),
    DatasetSource(Slow(), num_workers=1),
    training=Training(max_epochs=10_000, batch_size=8),
    callbacks=[Tell()],
)
print(result.reason, result.n_epochs >= 2, flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="process groups are POSIX's")
def test_ctrl_c_reaches_workers_too_and_training_ends_well() -> None:
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", SCRIPT],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline().strip() == "ready"
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert err == ""
    assert out.strip() == "interrupted True"
    assert process.returncode == 0


def weights(objective: Objective) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in objective.state_dict().items()}


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[key], two[key]) for key in one)


class AtStep(Callback):
    def __init__(self, step: int, function) -> None:
        self.step, self.function = step, function

    def on_step_end(self, state) -> None:
        if state.step == self.step:
            self.function(state)


def test_ctrl_c_stops_after_the_step_with_the_best(
    objective, source, validation
) -> None:
    handler = signal.getsignal(signal.SIGINT)
    kept = {}

    class Keep(Callback):
        def on_epoch_end(self, state) -> None:
            kept.update(weights(state.objective))

    press = AtStep(17, lambda state: signal.raise_signal(signal.SIGINT))
    callbacks = [press, Keep()]
    result = train(objective, source, validation, training=QUICK, callbacks=callbacks)
    assert isinstance(result, TrainResult)
    assert result.interrupted
    assert result.reason == "interrupted"
    assert result.n_epochs == 2  # the third was not closed
    assert result.best_epoch == 2
    assert same(weights(objective), kept)
    assert signal.getsignal(signal.SIGINT) is handler


def test_ctrl_c_twice_raises(objective, source) -> None:
    handler = signal.getsignal(signal.SIGINT)
    before = weights(objective)

    def press_twice(state) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(objective, source, training=QUICK, callbacks=[AtStep(3, press_twice)])
    assert signal.getsignal(signal.SIGINT) is handler
    assert same(weights(objective), before)
    assert not objective.training


def test_ctrl_c_before_the_first_step(objective, source) -> None:
    before = weights(objective)

    class Early(Callback):
        def on_train_begin(self, state) -> None:
            signal.raise_signal(signal.SIGINT)

    result = train(objective, source, training=QUICK, callbacks=[Early()])
    assert result.interrupted
    assert result.history == []
    assert same(weights(objective), before)


def test_an_ignored_ctrl_c_stays_ignored(objective, source) -> None:
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        press = AtStep(3, lambda state: signal.raise_signal(signal.SIGINT))
        result = train(objective, source, training=QUICK, callbacks=[press])
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, handler)
    assert not result.interrupted


def test_it_runs_in_another_thread(source, validation, new_objective) -> None:
    results, here = [], new_objective(dropout=0.1)
    there = copy.deepcopy(here)
    thread = threading.Thread(
        target=lambda: results.append(train(there, source, validation, training=QUICK))
    )
    thread.start()
    thread.join()
    train(here, source, validation, training=QUICK)
    assert results[0].n_epochs == 6
    assert same(weights(here), weights(there))
