"""Settings, and what `train` refuses."""

from __future__ import annotations

import pytest
import torch

from semistruct.engine import TensorSource, Training, train
from semistruct.exceptions import DataError, ParameterError


@pytest.mark.parametrize(
    "setting",
    [
        {"max_epochs": 0},
        {"max_epochs": 2.5},
        {"batch_size": 0},
        {"learning_rate": 0.0},
        {"learning_rate": float("nan")},
        {"weight_decay": -1.0},
        {"optimizer": "adamW"},
        {"patience": 0},
        {"validation_fraction": 1.0},
        {"num_workers": -1},
        {"device": "gpu"},
        {"device": 3.5},
        {"clip_norm": 0.0},
        {"min_delta": -0.1},
    ],
    ids=str,
)
def test_bad_settings_are_named(objective, source, setting) -> None:
    (name,) = setting
    with pytest.raises(ParameterError, match=f"'{name}' of Training"):
        train(objective, source, training=Training(**setting))
    with pytest.raises(ParameterError, match=f"'{name}' of mine"):
        Training(**setting).check("mine")


def test_a_device_that_is_not_there(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ParameterError, match="no usable cuda"):
        Training(device="cuda").check()


def test_settings_can_be_searched() -> None:
    settings = Training()
    assert settings.set_params(learning_rate=0.1).get_params()["learning_rate"] == 0.1


def test_no_rows_and_no_callback(objective, source, rows) -> None:
    empty = TensorSource({key: value[:0] for key, value in rows.items()})
    with pytest.raises(DataError, match="source has no rows"):
        train(objective, empty)
    with pytest.raises(DataError, match="validation has no rows"):
        train(objective, source, empty)
    with pytest.raises(ParameterError, match="Callback objects"):
        train(objective, source, callbacks=[print])
