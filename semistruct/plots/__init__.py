"""Pictures of fitted models; the only home of matplotlib."""

from semistruct.plots._attribution import (
    attribution_map,
    modality_shapley,
    top_features,
    waterfall,
)
from semistruct.plots._calibration import calibration, decision_curve
from semistruct.plots._incidence import incidence, stacked_incidence, time_varying
from semistruct.plots._modalities import modality_gains
from semistruct.plots._scores import scores
from semistruct.plots._style import COLORS
from semistruct.plots._survival import (
    cumulative_incidence,
    kaplan_meier,
    risk_strata,
    survival,
)
from semistruct.plots._terms import coefficients, terms
from semistruct.plots._training import history

__all__ = [
    "COLORS",
    "attribution_map",
    "calibration",
    "coefficients",
    "cumulative_incidence",
    "decision_curve",
    "history",
    "incidence",
    "kaplan_meier",
    "modality_gains",
    "modality_shapley",
    "risk_strata",
    "scores",
    "stacked_incidence",
    "survival",
    "terms",
    "time_varying",
    "top_features",
    "waterfall",
]
