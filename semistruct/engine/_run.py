"""The training loop: stages, epochs, steps."""

from __future__ import annotations

import copy
import hashlib
import json
from contextlib import nullcontext
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from semistruct.engine._balance import row_order
from semistruct.engine._callbacks import Events, History, TrainState
from semistruct.engine._checkpoint import (
    Checkpoint,
    as_tensors,
    clear,
    load,
    load_optimizer,
    optimizer_to_state,
    outputs_from_state,
    outputs_to_state,
    save,
)
from semistruct.engine._distributed import Processes
from semistruct.engine._finite import check_validation, check_weights, epoch_means
from semistruct.engine._sources import Source
from semistruct.engine._stages import Stage, frozen
from semistruct.engine._step import plan_steps
from semistruct.engine._tools import Epoch, Tools, equip
from semistruct.engine._training import Training
from semistruct.objectives import Objective


class Run:
    """One training: what is fixed comes in, what changes is below.

    Sets ``state``, ``completed`` (epochs), ``best`` (weights) and the weights of the
    objective.
    """

    def __init__(
        self,
        objective: Objective,
        source: Source,
        validation: Source | None,
        *,
        training: Training,
        seed: int,
        state: TrainState,
        history: History,
        events: Events,
        generator: torch.Generator,
        device: torch.device,
        group: Processes,
    ) -> None:
        self.objective, self.source, self.validation = objective, source, validation
        self.training, self.seed, self.device = training, seed, device
        self.state, self.history, self.events = state, history, events
        self.generator, self.group = generator, group
        epochs = Stage(int(training.max_epochs))
        self.stages = [epochs] if training.stages is None else list(training.stages)
        self.completed = 0
        self.best = _snapshot(objective)
        self.epoch: Epoch | None = None
        self._tools: Tools | None = None
        self._saved: dict[str, Any] | None = None

    def go(self) -> str:
        """Run all stages; give why training ended."""
        state, validation = self.state, self.validation
        self.group.agree(
            rows=len(self.source),
            validation=0 if validation is None else len(validation),
            seed=self.seed,
        )
        self._saved = self._find()
        if self._saved is not None:
            self._restore(self._saved)
        elif validation is not None:
            state.best_loss = self._validate(validation)
            state.metrics = {"epoch": 0, "validation_loss": state.best_loss}
        self.events.call("on_train_begin", state)
        if self._saved is not None:
            self.history.rows = list(self._saved["history"])
        for number, stage in enumerate(self.stages, 1):
            if number < state.stage:
                continue
            self._run_stage(number, stage)
            over = self._reason() in ("interrupted", "callback")
            if over or number == len(self.stages):
                break
            state.stop = False
        return self._reason()

    def close(self) -> None:
        """Put the best weights in place and tell the callbacks."""
        self.objective.load_state_dict(self.best)
        self.objective.zero_grad(set_to_none=True)
        self.objective.eval()
        self.events.call("on_train_end", self.state)

    # ------------------------------------------------------------ stages and epochs

    def _run_stage(self, number: int, stage: Stage) -> None:
        state, saved = self.state, self._saved
        if saved is None:
            state.stage, state.stage_start = number, state.epoch
            if number > 1:
                self.objective.load_state_dict(self.best)
        with frozen(self.objective, stage) as resting:
            self._tools = equip(
                self.objective,
                stage,
                self.training,
                resting=resting,
                rows=len(self.source),
                step=state.step,
                device=self.device,
                group=self.group,
            )
            if saved is not None:
                self._restore_tools(saved)
                self._saved = None
            last = state.stage_start + stage.max_epochs
            while self.epoch or not (state.stop or state.epoch >= last):
                self._run_epoch()
                if state.interrupted:
                    break
            self.objective.zero_grad(set_to_none=True)

    def _run_epoch(self) -> None:
        """Take the steps of an epoch, score it, keep the weights if they are better."""
        state, tools = self.state, self.tools
        if self.epoch is None:
            state.epoch += 1
            self.events.call("on_epoch_begin", state)
            self.epoch = Epoch(self.generator.get_state())
        self._take_steps(self.epoch)
        if state.interrupted:
            return
        means = epoch_means(self.epoch.outputs, state)
        check_weights(self.objective, state)
        stage = {} if self.training.stages is None else {"stage": float(state.stage)}
        state.metrics = {"epoch": state.epoch, **stage, **means}
        better = True
        with nullcontext() if tools.ema is None else tools.ema.in_place():
            if self.validation is not None:
                loss = self._validate(self.validation)
                state.metrics["validation_loss"] = loss
                tools.losses.append(loss)
                better = loss < state.best_loss - self.training.min_delta
                state.best_loss = loss if better else state.best_loss
            if better:
                state.best_epoch = state.epoch
                self.best = _snapshot(self.objective)
        self.completed, self.epoch = state.epoch, None
        self.events.call("on_epoch_end", state)
        checkpoint = self.training.checkpoint
        if checkpoint is not None and state.epoch % checkpoint.every_epochs == 0:
            self._save(checkpoint)

    def _take_steps(self, epoch: Epoch) -> None:
        """Take the steps of an epoch that are left."""
        state, training, tools = self.state, self.training, self.tools
        self.generator.set_state(epoch.order_state)
        order = row_order(self.source, self.training.balance, self.generator)
        if state.stop:
            return
        self.objective.train()
        for module in tools.resting:
            module.eval()
        plan = plan_steps(order, training.batch_size, training.accumulate, self.group)
        plan = plan.after(len(epoch.outputs))
        batches = self.source.take(plan.pieces)
        take, outputs, ema = tools.take, epoch.outputs, tools.ema
        varying, on_step_end = not tools.schedule.is_constant, self.events.on_step_end
        alone, checkpoint = self.group.world == 1, training.checkpoint
        for share in plan.shares:
            if varying:
                self._set_rates()
            outputs.append(take(batches, share))
            if ema is not None:
                ema.update()
            state.step += 1
            if on_step_end:
                state.output = outputs[-1]
                for call in on_step_end:
                    call(state)
            if not alone:
                self._agree_to_stop()
            if checkpoint is not None:
                self._save_within(checkpoint)
            if state.stop:
                return
        next(batches, None)  # lets a reader of rows end its epoch

    def _set_rates(self) -> None:
        """Set the learning rates of the next step."""
        tools = self.tools
        factor = tools.schedule.factor(
            self.state.step - tools.start, tools.total, tools.losses
        )
        for optimizer, rates in zip(tools.optimizers, tools.rates, strict=True):
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * factor

    def _agree_to_stop(self) -> None:
        """Stop all processes where one of them is to stop."""
        state = self.state
        state.stop = self.group.any(state.stop)
        state.interrupted = state.stop and self.group.any(state.interrupted)

    def _validate(self, validation: Source) -> float:
        """Score the validation rows: in each process, the first one's number counts."""
        batches = validation.batches(self.training.batch_size)
        loss = self.group.first(self.objective.evaluate(batches))
        check_validation(loss, self.state)
        return loss

    def _reason(self) -> str:
        state, patience = self.state, self.training.patience
        if state.interrupted:
            return "interrupted"
        if not state.stop:
            return "max_epochs"
        early = state.validated and patience is not None and state.waited >= patience
        return "early_stopping" if early else "callback"

    @property
    def tools(self) -> Tools:
        """What the present stage steps with."""
        assert self._tools is not None  # a stage has begun
        return self._tools

    # ------------------------------------------------------------ checkpoints

    @cached_property
    def _about(self) -> dict[str, Any]:
        """Give what a checkpoint must agree with."""
        settings = self.training.to_state()
        free = ("checkpoint", "device", "num_workers")
        shapes = {n: list(p.shape) for n, p in self.objective.named_parameters()}
        about = {
            "objective": type(self.objective).__name__,
            "network": hashlib.sha256(repr(shapes).encode()).hexdigest()[:16],
            "source": _source_digest(self.source),
            "validation": _source_digest(self.validation),
            "seed": self.seed,
            "number of processes": self.group.world,
            **{key: value for key, value in settings.items() if key not in free},
        }
        return json.loads(json.dumps(about, default=float))

    def _find(self) -> dict[str, Any] | None:
        checkpoint = self.training.checkpoint
        if checkpoint is None:
            return None
        if not checkpoint.resume:
            if self.group.rank == 0:
                clear(checkpoint)
            self.group.wait()
            return None
        found = load(checkpoint, self._about)
        self.group.agree(checkpoint=-1 if found is None else int(found["step"]))
        return None if found is None else as_tensors(found)

    def _save_within(self, checkpoint: Checkpoint) -> None:
        """Save within an epoch, where it is time or the user has stopped it."""
        every = checkpoint.every_steps
        due = every is not None and self.state.step % every == 0
        if due or self.state.interrupted:
            self._save(checkpoint)

    def _save(self, checkpoint: Checkpoint) -> None:
        state, tools, cuda = self.state, self.tools, self.device.type == "cuda"
        random = {"cpu": self.group.gather(torch.get_rng_state())}
        if cuda:
            mine = torch.cuda.get_rng_state(self.device)
            random["cuda"] = self.group.gather(mine)
        if state.rank > 0:
            return
        epoch = self.epoch
        whole = {
            "about": self._about,
            **{name: getattr(state, name) for name in _KEPT},
            "stop": state.stop and not state.interrupted,
            "completed": self.completed,
            "history": self.history.rows,
            "weights": _snapshot(self.objective),
            "best": self.best,
            "random": random,
            "generator": self.generator.get_state(),
            "order_state": None if epoch is None else epoch.order_state,
            "outputs": None if epoch is None else outputs_to_state(epoch.outputs),
            "start": tools.start,
            "optimizers": [optimizer_to_state(o) for o in tools.optimizers],
            "scaler": None if tools.scaler is None else tools.scaler.state_dict(),
            "ema": None if tools.ema is None else tools.ema.to_state(),
        }
        save(checkpoint, state.step, whole)

    def _restore(self, saved: dict[str, Any]) -> None:
        """Go back to where a checkpoint was written."""
        state = self.state
        for name in (*_KEPT, "stop"):
            setattr(state, name, saved[name])
        state.metrics = dict(saved["history"][-1]) if saved["history"] else {}
        self.completed, self.best = saved["completed"], saved["best"]
        self.objective.load_state_dict(saved["weights"])
        self.generator.set_state(saved["generator"])
        # copies: torch reads a state from the beginning of its memory
        mine = {k: v[self.group.rank].clone() for k, v in saved["random"].items()}
        torch.set_rng_state(mine["cpu"])
        if "cuda" in mine and self.device.type == "cuda":
            torch.cuda.set_rng_state(mine["cuda"], self.device)
        if saved["order_state"] is not None:
            outputs = outputs_from_state(saved["outputs"], self.device)
            self.epoch = Epoch(saved["order_state"], outputs)

    def _restore_tools(self, saved: dict[str, Any]) -> None:
        """Go on with the optimisers, the scaler and the average of a checkpoint."""
        tools = self.tools
        for optimizer, learned in zip(
            tools.optimizers, saved["optimizers"], strict=True
        ):
            load_optimizer(optimizer, learned)
        if tools.scaler is not None:
            tools.scaler.load_state_dict(saved["scaler"])
        if tools.ema is not None:
            tools.ema.load_state(saved["ema"])
        tools.start = saved["start"]
        begun = self.state.stage_start
        tools.losses = [
            row["validation_loss"]
            for row in saved["history"]
            if "validation_loss" in row and row["epoch"] > begun
        ]


_KEPT = ("epoch", "step", "best_epoch", "best_loss", "stage", "stage_start")


def _source_digest(source: Source | None) -> str:
    if source is None:
        return "none"
    digest = getattr(source, "digest", None)
    return f"{len(source)} rows" if digest is None else digest()


def _snapshot(objective: Objective) -> dict[str, Any]:
    return {
        name: value.clone() if isinstance(value, Tensor) else copy.deepcopy(value)
        for name, value in objective.state_dict().items()
    }
