"""The exact path: penalised Newton with smoothing parameters by REML, in float64."""

from semistruct.solvers._baseline import baseline_hazard
from semistruct.solvers._checks import as_matrix, as_weight
from semistruct.solvers._cox import check_survival, fit_cox
from semistruct.solvers._errors import RankDeficiencyError
from semistruct.solvers._glm import fit_glm
from semistruct.solvers._result import ExactFit
from semistruct.solvers._risk_sets import RiskSets

__all__ = [
    "ExactFit",
    "RankDeficiencyError",
    "RiskSets",
    "as_matrix",
    "as_weight",
    "baseline_hazard",
    "check_survival",
    "fit_cox",
    "fit_glm",
]
