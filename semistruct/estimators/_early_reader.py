"""Modalities as plain vectors, through a frozen encoder where there is one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from semistruct._core.terms import PCA, DeepTerm, Image, Pretrained, Term
from semistruct.encoders import (
    Encoder,
    build_encoder,
    encoder_from_state,
    encoder_to_state,
    get_encoder,
    untrained,
)
from semistruct.engine import predict
from semistruct.exceptions import ParameterError, PersistenceError

from ._modalities import (
    Modality,
    fit_modality,
    make_source,
    modality_from_state,
)

__all__ = ["Reader", "keys_of", "pretrained"]


class _Encoded(nn.Module):
    """The vectors of a batch beside its mask."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, batch: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        vectors = self.module(batch["x"])
        return {"x": vectors.reshape(len(vectors), -1), "mask": batch["x:mask"]}


class _Features(nn.Module):
    """The features of a registered encoder, without its last layer: that is random."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.module.features(rows)  # type: ignore[operator]


class Reader:
    """A modality as vectors, through a frozen encoder where there is one."""

    def __init__(
        self,
        modality: Modality,
        encoder: Any = None,
        module: nn.Module | None = None,
        device: str = "auto",
    ) -> None:
        self.modality, self.encoder, self.module = modality, encoder, module
        self.device = device

    def read(self, frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Give the rows (n, p) as float64, and which are present (n,)."""
        source = make_source({"x": self.modality}, {}, frame, {}, 0)
        module = nn.Identity() if self.module is None else self.module
        device = "cpu" if self.module is None else self.device
        out = predict(_Encoded(module), source, device=device)
        return out["x"].double().numpy(), out["mask"].numpy().astype(bool)

    def to_state(self) -> dict[str, Any]:
        state: dict[str, Any] = {"modality": self.modality.to_state()}
        if self.module is not None:
            weights = self.module.state_dict()
            state["encoder"] = encoder_to_state(self.encoder)
            state["weights"] = {name: t.cpu() for name, t in weights.items()}
        return state

    @classmethod
    def from_state(
        cls, state: Mapping[str, Any], term: Any, given: Mapping[str, Any]
    ) -> Reader:
        """Make it from its state; ``given`` are encoders whose code is not stored."""
        modality = modality_from_state(state["modality"])
        if "weights" not in state:
            return cls(modality)
        inner = term.term if isinstance(term, PCA) else term
        if state["encoder"] is not None:
            encoder = encoder_from_state(state["encoder"])
        else:
            encoder = _given(inner, given)
        if encoder is None:
            raise PersistenceError(
                f"The term {term.label} was fitted with a module of your own, whose "
                "code is not stored. Give one of the same architecture: "
                f"load(folder, encoders={{{inner.name!r}: module}})."
            )
        module = _build(untrained(encoder), modality)
        try:
            saved = state["weights"].items()
            module.load_state_dict({k: torch.as_tensor(v) for k, v in saved})
        except (RuntimeError, TypeError, ValueError) as error:
            raise PersistenceError(
                f"The stored weights of {term.label} do not fit: {error}"
            ) from error
        return cls(modality, encoder, module)


def keys_of(term: Any) -> tuple[str, ...]:
    """Give the keys by which encoders= finds a term."""
    if isinstance(term, Pretrained):
        return (term.label, term.name, term.encoder, term.column)
    return (term.label, term.name) if isinstance(term, DeepTerm) else ()


def _given(term: Term, encoders: Mapping[str, Any]) -> Any:
    return next((encoders[key] for key in keys_of(term) if key in encoders), None)


def pretrained(
    term: Pretrained, frame: pd.DataFrame, encoders: Mapping[str, Any], device: str
) -> Reader:
    """Make a frozen encoder of a column of images."""
    spec = _given(term, encoders)
    encoder = get_encoder(term.encoder if spec is None else spec, term)
    if isinstance(encoder, Encoder) and getattr(encoder, "weights", None) is None:
        raise ParameterError(
            parameter="encoder",
            owner=term.label,
            allowed="an encoder with weights, or a trained torch module",
            given=encoder,
            hint=f"Give encoders={{{term.name!r}: ss.encoders.ResNet(weights='….pt')}} "
            "or a module.",
        )
    modality = fit_modality(Image(term.column), (term.column,), frame)
    module = _build(encoder, modality)
    return Reader(modality, encoder, module, device)


def _build(encoder: Any, modality: Modality) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        module, _ = build_encoder(encoder, modality.input_shape, modality.moments)
    if isinstance(encoder, Encoder) and hasattr(module, "features"):
        module = _Features(module)
    return module.requires_grad_(False).eval()
