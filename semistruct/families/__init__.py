"""Response distributions: log-densities in torch, one linear predictor a parameter."""

from semistruct.families._base import Family
from semistruct.families._binary import Bernoulli, Binomial
from semistruct.families._censored import (
    Censored,
    LogLogisticAFT,
    LogNormalAFT,
    WeibullAFT,
)
from semistruct.families._censored_registry import get_censored
from semistruct.families._classes import Categorical, Ordinal
from semistruct.families._counts import (
    NegativeBinomial,
    Poisson,
    ZeroInflatedNegativeBinomial,
    ZeroInflatedPoisson,
)
from semistruct.families._cox import cox_log_likelihood
from semistruct.families._discrete_time import (
    DiscreteTimeFamily,
    LogisticHazard,
    interval_indicators,
)
from semistruct.families._discrete_time_curves import (
    conditional_survival,
    interpolate_incidence,
    interpolate_survival,
)
from semistruct.families._discrete_time_masses import MTLR, PMF, get_discrete_time
from semistruct.families._gaussian import Gaussian
from semistruct.families._links import Link, get_link
from semistruct.families._location_scale import (
    Gumbel,
    Laplace,
    Logistic,
    LogNormal,
    StudentT,
)
from semistruct.families._parameters import Parameter
from semistruct.families._positive import Beta, Gamma, InverseGaussian
from semistruct.families._registry import get_family
from semistruct.families._tweedie import Tweedie

__all__ = [
    "MTLR",
    "PMF",
    "Bernoulli",
    "Beta",
    "Binomial",
    "Categorical",
    "Censored",
    "DiscreteTimeFamily",
    "Family",
    "Gamma",
    "Gaussian",
    "Gumbel",
    "InverseGaussian",
    "Laplace",
    "Link",
    "LogLogisticAFT",
    "LogNormal",
    "LogNormalAFT",
    "Logistic",
    "LogisticHazard",
    "NegativeBinomial",
    "Ordinal",
    "Parameter",
    "Poisson",
    "StudentT",
    "Tweedie",
    "WeibullAFT",
    "ZeroInflatedNegativeBinomial",
    "ZeroInflatedPoisson",
    "conditional_survival",
    "cox_log_likelihood",
    "get_censored",
    "get_discrete_time",
    "get_family",
    "get_link",
    "interpolate_incidence",
    "interpolate_survival",
    "interval_indicators",
]
