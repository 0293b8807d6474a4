"""Objectives: what is minimised. Networks predict, objectives score."""

from semistruct.objectives._base import Objective, StepOutput
from semistruct.objectives._columns import ColumnwiseObjective
from semistruct.objectives._discrete import (
    DeepHitObjective,
    MultiSurvObjective,
    deephit_ranking_loss,
    multisurv_loss,
)
from semistruct.objectives._fine_gray import (
    FineGrayObjective,
    fine_gray_log_likelihood,
)
from semistruct.objectives._likelihood import CoxObjective, LikelihoodObjective
from semistruct.objectives._reconstruction import (
    ReconstructionObjective,
    reconstruction_loss,
)

__all__ = [
    "ColumnwiseObjective",
    "CoxObjective",
    "DeepHitObjective",
    "FineGrayObjective",
    "LikelihoodObjective",
    "MultiSurvObjective",
    "Objective",
    "ReconstructionObjective",
    "StepOutput",
    "deephit_ranking_loss",
    "fine_gray_log_likelihood",
    "multisurv_loss",
    "reconstruction_loss",
]
