"""Named systems: published models, each a short estimator over the same blocks."""

from semistruct.estimators.systems._additive import (
    SSDDR,
    DeepPAMM,
    TwoStage,
    WideDeepSurv,
)
from semistruct.estimators.systems._autoencoders import ConcatAE, CrossAE
from semistruct.estimators.systems._deep import DeepConvSurv, DeepSurv
from semistruct.estimators.systems._fused import DeepCorrSurv, MultiSurv, PancancerSurv
from semistruct.estimators.systems._registry import SYSTEMS

__all__ = [
    "SSDDR",
    "SYSTEMS",
    "ConcatAE",
    "CrossAE",
    "DeepConvSurv",
    "DeepCorrSurv",
    "DeepPAMM",
    "DeepSurv",
    "MultiSurv",
    "PancancerSurv",
    "TwoStage",
    "WideDeepSurv",
]
