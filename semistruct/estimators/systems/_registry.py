"""The systems by name, with what each is."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ._additive import SSDDR, DeepPAMM, TwoStage, WideDeepSurv
from ._autoencoders import ConcatAE, CrossAE
from ._deep import DeepConvSurv, DeepSurv
from ._fused import DeepCorrSurv, MultiSurv, PancancerSurv

__all__ = ["SYSTEMS"]

SYSTEMS: Mapping[str, type] = MappingProxyType(
    {
        cls.__name__: cls
        for cls in (
            ConcatAE,
            CrossAE,
            DeepConvSurv,
            DeepCorrSurv,
            DeepPAMM,
            DeepSurv,
            MultiSurv,
            PancancerSurv,
            SSDDR,
            TwoStage,
            WideDeepSurv,
        )
    }
)
