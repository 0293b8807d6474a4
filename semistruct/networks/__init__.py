"""Networks: what predicts. Losses live in objectives."""

from semistruct.networks._fused import FusedEncoder, FusedOutput, build_fused
from semistruct.networks._semi_structured import NetworkOutput, SemiStructuredNetwork

__all__ = [
    "FusedEncoder",
    "FusedOutput",
    "NetworkOutput",
    "SemiStructuredNetwork",
    "build_fused",
]
