"""semistruct: tables, images and genes in one interpretable estimator."""

from importlib import import_module
from typing import Any

from semistruct import exceptions, families, metrics
from semistruct._core import terms
from semistruct._core.step import StepFunction
from semistruct._core.surv import Surv
from semistruct.data import TensorArray, datasets, join_modalities
from semistruct.encoders import CNN, MLP, Encoder
from semistruct.engine import Callback, Training
from semistruct.estimators import (
    GAM,
    Bootstrap,
    CrossFit,
    LateFusion,
    SemiStructuredClassifier,
    SemiStructuredRegressor,
    SemiStructuredSurvival,
    WideDeepClassifier,
    WideDeepRegressor,
    analysis,
    compare,
    compare_modalities,
    heads,
    load,
    pool,
    systems,
)

__version__ = "0.1.0"

__all__ = [
    "CNN",
    "GAM",
    "MLP",
    "Bootstrap",
    "Callback",
    "CrossFit",
    "Encoder",
    "LateFusion",
    "SemiStructuredClassifier",
    "SemiStructuredRegressor",
    "SemiStructuredSurvival",
    "StepFunction",
    "Surv",
    "TensorArray",
    "Training",
    "WideDeepClassifier",
    "WideDeepRegressor",
    "analysis",
    "attribution",
    "compare",
    "compare_modalities",
    "datasets",
    "exceptions",
    "families",
    "heads",
    "join_modalities",
    "load",
    "metrics",
    "plots",
    "pool",
    "report",
    "survival",
    "systems",
    "terms",
    "vlm",
]

# imported when first used: matplotlib is not loaded by `import semistruct`
_LAZY = {
    "attribution": "semistruct.attribution",
    "plots": "semistruct.plots",
    "survival": "semistruct.survival",
    "vlm": "semistruct.vlm",
}
_LAZY_FUNCTIONS = {"report": "semistruct.reporting"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return import_module(_LAZY[name])
    if name in _LAZY_FUNCTIONS:
        return getattr(import_module(_LAZY_FUNCTIONS[name]), name)
    raise AttributeError(f"module 'semistruct' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
