"""Systems whose whole predictor is one network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from semistruct._core.randomness import RandomState
from semistruct._core.terms import Image, Tabular, Term
from semistruct.encoders import MLP
from semistruct.engine import Training
from semistruct.exceptions import ParameterError

from .._state import register
from .._survival import SemiStructuredSurvival

__all__ = ["DeepConvSurv", "DeepSurv"]


class _OneNetwork(SemiStructuredSurvival):
    """A Cox model of one deep term; abstract."""

    head: Any = "cox"
    ties = "efron"
    firth = False
    covariance = "model"
    orthogonalize = "global"
    missing = "error"


@register
class DeepSurv(_OneNetwork):
    """Cox regression whose log hazard ratio is a perceptron of the columns.

    Parameters
    ----------
    columns : sequence of str, optional
        Columns, or patterns such as ``"rna_*"``; all when not given. Columns of strings
        and booleans are embedded.
    hidden : sequence of int, default=(32, 32)
        Widths of the hidden layers, each at least 2.
    dropout : float, default=0.1
        Share of hidden units that are dropped in training, in [0, 1).
    encoders : dict of str to Encoder, torch.nn.Module or str, optional
        Another network, by the name of the term (the columns joined by ``_``).
    training : Training, optional
        How the network is trained.
    random_state : int, Generator, RandomState or None, default=None
        Source of the split, of initial weights, order and dropout.
    progress : bool, default=False
        Whether to show a progress bar on stderr.

    Notes
    -----
    Different from the paper: layer norm and GELU, AdamW, early stopping with "no effect
    at all" as a candidate, Efron's ties, and curves after Breslow or Efron.

    References
    ----------
    Katzman et al. (2018), BMC Medical Research Methodology 18, 24,
    doi:10.1186/s12874-018-0482-1

    Examples
    --------
    >>> import semistruct as ss
    >>> X, y = ss.datasets.load_rossi()
    >>> training = ss.Training(max_epochs=3)
    >>> model = ss.systems.DeepSurv(["age", "prio"], training=training, random_state=0)
    >>> model.fit(X, y).predict_survival_function(X[:1], times=[26, 52]).values.shape
    (1, 2)
    """

    def __init__(
        self,
        columns: Sequence[str] | None = None,
        *,
        hidden: Sequence[int] = (32, 32),
        dropout: float = 0.1,
        encoders: Mapping[str, Any] | None = None,
        training: Training | None = None,
        random_state: RandomState = None,
        progress: bool = False,
    ) -> None:
        self.columns = columns
        self.hidden = hidden
        self.dropout = dropout
        self.encoders = encoders
        self.training = training
        self.random_state = random_state
        self.progress = progress

    @property
    def terms(self) -> tuple[Term, ...]:
        """One deep term of all columns."""
        return (Tabular(("*",) if self.columns is None else tuple(self.columns)),)

    def _check_parameters(self) -> None:
        super()._check_parameters()
        for name, given in (("columns", self.columns), ("hidden", self.hidden)):
            listed = isinstance(given, list | tuple) and len(given) > 0
            if not listed and not (name == "columns" and given is None):
                raise ParameterError(
                    parameter=name,
                    owner="DeepSurv",
                    allowed="a list that is not empty",
                    given=given,
                )

    def _fit_features(
        self, split: Any, frame: pd.DataFrame, weight: np.ndarray | None
    ) -> Any:
        features, split, given = super()._fit_features(split, frame, weight)
        hidden = tuple(self.hidden)
        own = MLP(hidden, output_dim=hidden[-1], dropout=self.dropout)
        return features, split, {self.terms[0].label: own, **given}


@register
class DeepConvSurv(_OneNetwork):
    """Cox regression whose log hazard ratio is a convolutional network of an image.

    Parameters
    ----------
    image : str, default="image"
        Column of images, or of bags of image patches.
    encoders : dict of str to Encoder, torch.nn.Module or str, optional
        Another network, by the column. The default is `semistruct.CNN`.
    training : Training, optional
        How the network is trained.
    random_state : int, Generator, RandomState or None, default=None
        Source of the split, of initial weights, order and dropout.
    progress : bool, default=False
        Whether to show a progress bar on stderr.

    Notes
    -----
    Different from the paper: patches of regions that pathologists had marked are rows
    there; here a row is a patient, whose patches are a bag (a cell that is a list of
    images), and rows without an image keep the baseline hazard.

    References
    ----------
    Zhu, Yao & Huang (2016), BIBM, 544-547, doi:10.1109/BIBM.2016.7822579

    Examples
    --------
    >>> import semistruct as ss
    >>> X, y = ss.datasets.make_survival_digits(120, random_state=0)
    >>> model = ss.systems.DeepConvSurv("scan", training=ss.Training(max_epochs=1))
    >>> model.fit(X, y).predict(X[:3]).shape
    (3,)
    """

    def __init__(
        self,
        image: str = "image",
        *,
        encoders: Mapping[str, Any] | None = None,
        training: Training | None = None,
        random_state: RandomState = None,
        progress: bool = False,
    ) -> None:
        self.image = image
        self.encoders = encoders
        self.training = training
        self.random_state = random_state
        self.progress = progress

    @property
    def terms(self) -> tuple[Term, ...]:
        """One deep term of the image."""
        return (Image(self.image),)
