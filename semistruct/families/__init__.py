"""Response distributions: log-densities in torch, one linear predictor a parameter."""

from semistruct.families._base import Family
from semistruct.families._cox import cox_log_likelihood
from semistruct.families._discrete import Bernoulli, Categorical, Poisson
from semistruct.families._gaussian import Gaussian
from semistruct.families._registry import get_family

__all__ = [
    "Bernoulli",
    "Categorical",
    "Family",
    "Gaussian",
    "Poisson",
    "cox_log_likelihood",
    "get_family",
]
