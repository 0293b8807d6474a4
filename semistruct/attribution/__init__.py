"""Attribution: which pixels, genes, terms and modalities a prediction comes from."""

from semistruct.attribution._explain import explain
from semistruct.attribution._result import Attribution
from semistruct.attribution._shapley import (
    ModalityShapley,
    modality_shapley,
    modality_shapley_score,
)
from semistruct.attribution._waterfall import Waterfall, waterfall

__all__ = [
    "Attribution",
    "ModalityShapley",
    "Waterfall",
    "explain",
    "modality_shapley",
    "modality_shapley_score",
    "waterfall",
]
