"""The engine: one training loop over any objective."""

from semistruct.engine._callbacks import (
    Callback,
    EarlyStopping,
    History,
    Progress,
    TrainState,
)
from semistruct.engine._predict import predict
from semistruct.engine._sources import DatasetSource, Source, TensorSource
from semistruct.engine._train import TrainResult, train
from semistruct.engine._training import Training

__all__ = [
    "Callback",
    "DatasetSource",
    "EarlyStopping",
    "History",
    "Progress",
    "Source",
    "TensorSource",
    "TrainResult",
    "TrainState",
    "Training",
    "predict",
    "train",
]
