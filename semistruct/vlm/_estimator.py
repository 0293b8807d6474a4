"""What the estimators share: the fit on the engine, and saving.

Letters: n rows, F features.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from semistruct._core.persistence import write_state
from semistruct._core.randomness import RandomState, spawn
from semistruct._core.validation import check_bool
from semistruct.engine import Progress, Source, Training, predict, train
from semistruct.exceptions import (
    DataError,
    ParameterError,
    PersistenceError,
)
from semistruct.vlm._columns import Columns
from semistruct.vlm._registry import get_system
from semistruct.vlm._system import System, config_from_state, config_to_state
from semistruct.vlm.components import Facts

__all__ = ["SystemEstimator"]

Self = TypeVar("Self", bound="SystemEstimator")
_BATCH = 256  # rows that are embedded at once


class Embed(nn.Module):
    """A module that reads one entry of a batch."""

    def __init__(self, module: nn.Module, entry: str) -> None:
        super().__init__()
        self.module, self.entry = module, entry

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Map a batch to (B, F)."""
        return self.module(batch[self.entry])


class SystemEstimator(BaseEstimator):
    """Shell of the estimators over vision-language systems; abstract.

    The constructors only store; `fit` checks.
    """

    system: str
    config: Any
    training: Training | None
    random_state: RandomState
    progress: bool
    system_: System
    columns_: Columns
    history_: pd.DataFrame

    # -- fitting ----------------------------------------------------------------

    def _kind(self) -> type[System]:
        return get_system(self.system, type(self).__name__)

    def _default_training(self) -> Training:
        return Training(
            max_epochs=30,
            batch_size=128,
            learning_rate=2e-3,
            schedule="one_cycle",
            validation_fraction=0.0,
        )

    def _train(
        self,
        X: pd.DataFrame,
        columns: Columns,
        extra: Mapping[str, Tensor],
        visual: nn.Module | None = None,
    ) -> None:
        """Build the system, train it, and set what was learned."""
        owner = type(self).__name__
        check_bool(self.progress, parameter="progress", owner=owner)
        training = self.training
        if training is None:
            training = self._default_training()
        elif not isinstance(training, Training):
            raise ParameterError(
                parameter="training",
                owner=owner,
                allowed="a Training object or None",
                given=training,
            )
        training.check(owner)
        kind = self._kind()
        init, order, split = spawn(self.random_state, 3)
        with torch.random.fork_rng():
            torch.manual_seed(init)
            config = kind.Config() if self.config is None else self.config
            system = kind.build(config, columns.facts)
        if visual is not None:
            system.start_from(visual)
        held = round(training.validation_fraction * len(X))
        rows = np.random.default_rng(split).permutation(len(X))
        parts: list[Source | None] = [None, None]
        for i, chosen in enumerate((np.sort(rows[held:]), np.sort(rows[:held]))):
            if len(chosen):
                more = {k: v[torch.from_numpy(chosen)] for k, v in extra.items()}
                workers = training.num_workers
                parts[i] = columns.source(X.iloc[chosen], extra=more, workers=workers)
        source = parts[0]
        if source is None:
            raise DataError(f"{owner}: no row is left to learn from.")
        result = train(
            system,
            source,
            parts[1],
            training=training,
            seed=order,
            callbacks=[Progress(owner)] if self.progress else [],
        )
        self.system_, self.columns_ = system, columns
        self.history_ = pd.DataFrame(result.history)

    def _complete(self, X: pd.DataFrame, columns: Columns) -> pd.DataFrame:
        """Leave out rows of which a cell is null."""
        whole = columns.complete(X)
        if whole.sum() < 2:
            names = list(columns.names.values())
            raise DataError(
                f"{type(self).__name__}: {whole.sum()} of {len(X)} rows have all of "
                f"{names}; at least two are needed."
            )
        return X if whole.all() else X.iloc[np.flatnonzero(whole)]

    # -- prediction -------------------------------------------------------------

    def _embed(self, module: nn.Module, X: pd.DataFrame, entry: str) -> np.ndarray:
        """Run a module over one column, (n, F)."""
        check_is_fitted(self, "system_")
        device = "auto" if self.training is None else self.training.device
        source = self.columns_.source(X, kinds=[entry])
        return predict(Embed(module, entry), source, _BATCH, device).numpy()

    # -- saving -----------------------------------------------------------------

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Save the fitted model as JSON and safetensors; no code is stored.

        Parameters
        ----------
        folder : path-like
            Where to; a saved model that is there is replaced.
        """
        check_is_fitted(self, "system_")
        system = self.system_
        params = {**self.get_params(deep=False), **self._left_behind()}
        training = params["training"]
        seed = params["random_state"]
        params["training"] = None if training is None else training.to_state()
        params["random_state"] = int(seed) if isinstance(seed, int) else None
        params["config"] = None if self.config is None else config_to_state(self.config)
        state = {
            "estimator": type(self).__name__,
            "params": params,
            "config": config_to_state(system.config),
            "facts": vars(system.facts),
            "columns": self.columns_.to_state(),
            "weights": dict(system.state_dict()),
            "history": self.history_.to_dict("list"),
        }
        write_state(folder, state)

    def _left_behind(self) -> dict[str, Any]:
        """Give parameters whose saved value is another one."""
        return {}

    @classmethod
    def _from_state(cls: type[Self], state: dict[str, Any]) -> Self:
        params = dict(state["params"])
        kind = get_system(params["system"], cls.__name__)
        if params["training"] is not None:
            params["training"] = Training.from_state(params["training"])
        if params["config"] is not None:
            params["config"] = config_from_state(kind.Config, params["config"])
        if isinstance(params.get("size"), list):
            params["size"] = tuple(params["size"])
        model = cls(**params)
        facts = dict(state["facts"])
        if facts["image"] is not None:
            facts["image"] = tuple(facts["image"])
        config = config_from_state(kind.Config, state["config"])
        with torch.random.fork_rng():
            system = kind.build(config, Facts(**facts))
        weights = {k: torch.as_tensor(v) for k, v in state["weights"].items()}
        try:
            system.load_state_dict(weights)
        except RuntimeError as error:
            raise PersistenceError(
                f"The saved weights do not fit the system {params['system']!r}: {error}"
            ) from error
        model.system_ = system.eval()
        model.columns_ = Columns.from_state(state["columns"])
        model.history_ = pd.DataFrame(state["history"])
        return model
