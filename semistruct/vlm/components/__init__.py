"""Shared blocks of the vision-language systems, one of each."""

from semistruct.vlm.components._attention import Attention, causal_mask, local_mask
from semistruct.vlm.components._contrastive import (
    info_nce,
    mil_nce,
    nt_xent,
    pair_info_nce,
    triplet_loss,
)
from semistruct.vlm.components._dual import DualNetwork, Embeddings
from semistruct.vlm.components._heads import Projected, ProjectionHead, PrototypeHead
from semistruct.vlm.components._layers import LayerPrediction, layer_target
from semistruct.vlm.components._losses import (
    cosine_regression,
    hard_negatives,
    latent_regression,
    load_balance,
    masked_modelling,
    matching_loss,
    sinkhorn,
    soft_cross_entropy,
)
from semistruct.vlm.components._masking import block_mask, random_mask, span_mask
from semistruct.vlm.components._patches import (
    ModalityEmbedding,
    PatchEmbed,
    patch_grid,
    patchify,
    sincos_positions,
    unpatchify,
)
from semistruct.vlm.components._processes import SharedBatchNorm, gather_rows, own_rows
from semistruct.vlm.components._resampler import LatentResampler
from semistruct.vlm.components._teacher import AtRest, EmaTeacher, Queue
from semistruct.vlm.components._towers import (
    ConvTower,
    Facts,
    ImageTower,
    PatchModule,
    PatchTower,
    TextModule,
    TextTower,
)
from semistruct.vlm.components._transformer import (
    Block,
    FeedForward,
    MixtureOfExperts,
    Transformer,
)
from semistruct.vlm.components._views import Views

__all__ = [
    "AtRest",
    "Attention",
    "Block",
    "ConvTower",
    "DualNetwork",
    "EmaTeacher",
    "Embeddings",
    "Facts",
    "FeedForward",
    "ImageTower",
    "LatentResampler",
    "LayerPrediction",
    "MixtureOfExperts",
    "ModalityEmbedding",
    "PatchEmbed",
    "PatchModule",
    "PatchTower",
    "Projected",
    "ProjectionHead",
    "PrototypeHead",
    "Queue",
    "SharedBatchNorm",
    "TextModule",
    "TextTower",
    "Transformer",
    "Views",
    "block_mask",
    "causal_mask",
    "cosine_regression",
    "gather_rows",
    "hard_negatives",
    "info_nce",
    "latent_regression",
    "layer_target",
    "load_balance",
    "local_mask",
    "masked_modelling",
    "matching_loss",
    "mil_nce",
    "nt_xent",
    "own_rows",
    "pair_info_nce",
    "patch_grid",
    "patchify",
    "random_mask",
    "sincos_positions",
    "sinkhorn",
    "soft_cross_entropy",
    "span_mask",
    "triplet_loss",
    "unpatchify",
]
