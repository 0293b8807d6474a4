"""Fusion of parts: joint fusion of modalities, and orthogonalisation of deep parts."""

from semistruct.fusion._base import Fusion, FusionModule, Tokens
from semistruct.fusion._batch_projection import project_batch
from semistruct.fusion._cross import CrossAttentionFusion
from semistruct.fusion._dropout import ModalityDropout, drop_modalities
from semistruct.fusion._embrace import EmbraceFusion
from semistruct.fusion._orthogonalize import apply_projection, fit_projection
from semistruct.fusion._pointwise import (
    ConcatFusion,
    MaxFusion,
    MeanFusion,
    ProductFusion,
    SumFusion,
)
from semistruct.fusion._post_hoc import (
    PostHoc,
    penalised_projection,
    post_hoc,
    smoothing_of,
)
from semistruct.fusion._registry import (
    FUSIONS,
    fusion_from_state,
    fusion_to_state,
    get_fusion,
)
from semistruct.fusion._tensor import TensorFusion
from semistruct.fusion._weighted import AttentionFusion, GatedFusion

__all__ = [
    "FUSIONS",
    "AttentionFusion",
    "ConcatFusion",
    "CrossAttentionFusion",
    "EmbraceFusion",
    "Fusion",
    "FusionModule",
    "GatedFusion",
    "MaxFusion",
    "MeanFusion",
    "ModalityDropout",
    "PostHoc",
    "ProductFusion",
    "SumFusion",
    "TensorFusion",
    "Tokens",
    "apply_projection",
    "drop_modalities",
    "fit_projection",
    "fusion_from_state",
    "fusion_to_state",
    "get_fusion",
    "penalised_projection",
    "post_hoc",
    "project_batch",
    "smoothing_of",
]
