"""What the named survival systems share: a structured part beside modalities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from semistruct._core.randomness import RandomState
from semistruct._core.terms import DeepTerm, Fuse, Term
from semistruct._core.validation import check_number
from semistruct.encoders import Encoder, get_encoder
from semistruct.engine import Training, TrainResult, predict
from semistruct.exceptions import ParameterError

from .. import _input
from .._auxiliary import Auxiliary
from .._base import SemiStructuredEstimator
from .._modalities import make_source
from .._survival import SemiStructuredSurvival

__all__ = ["FusedSurvival", "Multimodal", "MultimodalSurvival"]


class Multimodal(SemiStructuredEstimator):
    """Terms in two parameters, ``structured`` and ``modalities``; abstract."""

    structured: Any
    modalities: Any

    @property
    def terms(self) -> tuple[Term, ...]:
        """The structured terms and what is made of the modalities."""
        structured = _input.as_terms(self.structured)
        deep = tuple(t for t in self._given() if isinstance(t, DeepTerm))
        return (*structured, *self._joined(deep))

    def _given(self) -> tuple[Term, ...]:
        return _input.as_terms(self.modalities)

    def _joined(self, deep: tuple[DeepTerm, ...]) -> tuple[DeepTerm, ...]:
        """Give the deep terms of the modalities; here each adds to the predictor."""
        return deep

    def _check_parameters(self) -> None:
        super()._check_parameters()
        owner = type(self).__name__
        for name, terms, deep in (
            ("structured", _input.as_terms(self.structured), False),
            ("modalities", self._given(), True),
        ):
            for term in terms:
                if isinstance(term, DeepTerm) is not deep or isinstance(term, Fuse):
                    kind = (
                        "deep terms, such as image(scan) + omics('rna_*'), not fused"
                        if deep
                        else "structured terms, such as age + s(bmi)"
                    )
                    raise ParameterError(
                        parameter=name, owner=owner, allowed=kind, given=term.label
                    )
        if not self.terms:
            raise ParameterError(
                parameter="modalities",
                owner=owner,
                allowed="a formula of deep terms, unless there is a structured part",
                given=self.modalities,
            )


class MultimodalSurvival(Multimodal, SemiStructuredSurvival):
    """Survival of a structured part and of modalities that add to it; abstract."""

    head: Any = "cox"
    ties = "efron"
    firth = False
    covariance = "model"
    orthogonalize = "global"

    def __init__(
        self,
        modalities: Any = None,
        structured: Any = None,
        *,
        encoders: Mapping[str, Any] | None = None,
        training: Training | None = None,
        missing: str = "error",
        random_state: RandomState = None,
        progress: bool = False,
    ) -> None:
        self.modalities = modalities
        self.structured = structured
        self.encoders = encoders
        self.training = training
        self.missing = missing
        self.random_state = random_state
        self.progress = progress


class FusedSurvival(MultimodalSurvival):
    """Survival of modalities that are fused into one vector; abstract.

    A single modality stands alone, and then no loss of several is there.
    """

    output_dim: int
    how: str
    top = "linear"  # what is made of the fused vector

    def _joined(self, deep: tuple[DeepTerm, ...]) -> tuple[DeepTerm, ...]:
        if len(deep) < 2:
            return deep
        rate = self.modality_dropout
        assert isinstance(rate, float | int)
        return (Fuse(deep, self.how, head=self.top, modality_dropout=rate),)

    def _check_parameters(self) -> None:
        super()._check_parameters()
        owner = type(self).__name__
        check_number(
            self.output_dim, parameter="output_dim", owner=owner, low=1, integer=True
        )

    def _encoder(self, term: DeepTerm) -> Encoder | None:
        """Give the encoder of a modality for which none is given."""
        spec = get_encoder(None, term)
        if not isinstance(spec, Encoder):
            return None
        return clone(spec).set_params(output_dim=self.output_dim)

    def _fit_features(self, split: Any, frame: pd.DataFrame, weight: Any) -> Any:
        features, split, encoders = super()._fit_features(split, frame, weight)
        found = dict(encoders)
        for term in self._given():
            named = getattr(term, "encoder", None) is not None
            if isinstance(term, DeepTerm) and not named and term.label not in found:
                found.setdefault(term.name, self._encoder(term))
        return features, split, {k: v for k, v in found.items() if v is not None}

    def _auxiliary(self) -> Auxiliary | None:
        made = self._make_auxiliary()
        # filled while the deep terms are trained
        self.pretraining_: list[TrainResult] = [] if made is None else made.results
        return made

    def _make_auxiliary(self) -> Auxiliary | None:
        """Give the loss of the modalities' vectors that the system has."""
        return None

    def embed(self, X: Any) -> dict[str, pd.DataFrame]:
        """Give the vectors of each modality, and the fused one.

        Parameters
        ----------
        X : DataFrame of n rows
            The table.

        Returns
        -------
        dict of str to DataFrame
            A DataFrame (m, q) by name of each modality, of the m rows that have it;
            under ``"fused"`` the vector that the predictor is linear in.
        """
        check_is_fitted(self, "predictor_")
        whole, frame = self.predictor_, self._frame(X)
        if whole.network is None:
            return {}
        modalities = {name: part.modality for name, part in whole.parts.items()}
        source = make_source(modalities, {}, frame, {}, 0, whole.on_unreadable)
        output = predict(whole.network, source, device=whole.device)
        found: dict[str, pd.DataFrame] = {}
        for name, part in whole.parts.items():
            term, latent = part.term, output.latents[name].numpy()
            rows = np.ones(len(frame), dtype=bool)
            if isinstance(term, Fuse):
                fused = output.fused[name]
                rows = fused.mask.numpy()
                for m, child in enumerate(term.terms):
                    own = list(fused.modalities.values())[m].numpy()
                    there = fused.present[:, m].numpy()
                    found[child.name] = _table(own, there, frame)
            found["fused"] = _table(latent, rows, frame)
        return found


def _table(vectors: np.ndarray, rows: np.ndarray, frame: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(vectors[rows], index=frame.index[rows])
