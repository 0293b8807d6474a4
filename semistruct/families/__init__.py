"""Response distributions: log-densities in torch, one linear predictor a parameter."""

from semistruct.families._base import Family
from semistruct.families._binary import Bernoulli, Binomial
from semistruct.families._classes import Categorical, Ordinal
from semistruct.families._counts import (
    NegativeBinomial,
    Poisson,
    ZeroInflatedNegativeBinomial,
    ZeroInflatedPoisson,
)
from semistruct.families._cox import cox_log_likelihood
from semistruct.families._gaussian import Gaussian
from semistruct.families._links import Link, get_link
from semistruct.families._location_scale import (
    Gumbel,
    Laplace,
    Logistic,
    LogNormal,
    StudentT,
)
from semistruct.families._positive import Beta, Gamma, InverseGaussian
from semistruct.families._registry import get_family
from semistruct.families._tweedie import Tweedie

__all__ = [
    "Bernoulli",
    "Beta",
    "Binomial",
    "Categorical",
    "Family",
    "Gamma",
    "Gaussian",
    "Gumbel",
    "InverseGaussian",
    "Laplace",
    "Link",
    "LogNormal",
    "Logistic",
    "NegativeBinomial",
    "Ordinal",
    "Poisson",
    "StudentT",
    "Tweedie",
    "ZeroInflatedNegativeBinomial",
    "ZeroInflatedPoisson",
    "cox_log_likelihood",
    "get_family",
    "get_link",
]
