"""The engine: one training loop over any objective."""

from semistruct.engine._callbacks import (
    Callback,
    EarlyStopping,
    History,
    Progress,
    TrainState,
)
from semistruct.engine._checkpoint import Checkpoint
from semistruct.engine._groups import ParameterGroups
from semistruct.engine._predict import predict
from semistruct.engine._schedules import (
    Constant,
    Cosine,
    OneCycle,
    Plateau,
    Schedule,
)
from semistruct.engine._sources import DatasetSource, Source, TensorSource
from semistruct.engine._stages import Stage
from semistruct.engine._train import TrainResult, train
from semistruct.engine._training import Training
from semistruct.engine._unreadable import MaskUnreadable

__all__ = [
    "Callback",
    "Checkpoint",
    "Constant",
    "Cosine",
    "DatasetSource",
    "EarlyStopping",
    "History",
    "MaskUnreadable",
    "OneCycle",
    "ParameterGroups",
    "Plateau",
    "Progress",
    "Schedule",
    "Source",
    "Stage",
    "TensorSource",
    "TrainResult",
    "TrainState",
    "Training",
    "predict",
    "train",
]
