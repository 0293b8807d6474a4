"""Objectives: what is minimised. Networks predict, objectives score."""

from semistruct.objectives._base import Objective, StepOutput
from semistruct.objectives._likelihood import CoxObjective, LikelihoodObjective

__all__ = ["CoxObjective", "LikelihoodObjective", "Objective", "StepOutput"]
