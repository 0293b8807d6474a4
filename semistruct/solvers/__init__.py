"""The exact path: penalised Newton with smoothing parameters by REML, in float64."""

from semistruct.solvers._baseline import baseline_hazard, baseline_hazard_on
from semistruct.solvers._checks import as_matrix, as_weight
from semistruct.solvers._combine import combine_fits
from semistruct.solvers._cox import check_survival, fit_cox, fit_cox_on, risk_sets
from semistruct.solvers._cox_profile import cox_profile
from semistruct.solvers._errors import RankDeficiencyError
from semistruct.solvers._fine_gray import FineGrayFit, fit_fine_gray
from semistruct.solvers._fine_gray_influence import BaselineSpread
from semistruct.solvers._glm import fit_glm
from semistruct.solvers._result import ExactFit
from semistruct.solvers._risk_sets import RiskSets

__all__ = [
    "BaselineSpread",
    "ExactFit",
    "FineGrayFit",
    "RankDeficiencyError",
    "RiskSets",
    "as_matrix",
    "as_weight",
    "baseline_hazard",
    "baseline_hazard_on",
    "check_survival",
    "combine_fits",
    "cox_profile",
    "fit_cox",
    "fit_cox_on",
    "fit_fine_gray",
    "fit_glm",
    "risk_sets",
]
