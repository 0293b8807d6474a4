"""Objectives: what is minimised. Networks predict, objectives score."""

from semistruct.objectives._auxiliary import (
    AuxiliaryObjective,
    CorrelationLoss,
    CrossReconstructionLoss,
    FusedLoss,
    FusedObjective,
    SimilarityLoss,
)
from semistruct.objectives._base import Objective, StepOutput
from semistruct.objectives._columns import ColumnwiseObjective
from semistruct.objectives._correlation import (
    canonical_correlation,
    pearson_correlation,
)
from semistruct.objectives._cross_reconstruction import cross_reconstruction_loss
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
from semistruct.objectives._similarity import similarity_loss

__all__ = [
    "AuxiliaryObjective",
    "ColumnwiseObjective",
    "CorrelationLoss",
    "CoxObjective",
    "CrossReconstructionLoss",
    "DeepHitObjective",
    "FineGrayObjective",
    "FusedLoss",
    "FusedObjective",
    "LikelihoodObjective",
    "MultiSurvObjective",
    "Objective",
    "ReconstructionObjective",
    "SimilarityLoss",
    "StepOutput",
    "canonical_correlation",
    "cross_reconstruction_loss",
    "deephit_ranking_loss",
    "fine_gray_log_likelihood",
    "multisurv_loss",
    "pearson_correlation",
    "reconstruction_loss",
    "similarity_loss",
]
