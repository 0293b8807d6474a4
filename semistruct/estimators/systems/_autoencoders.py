"""Systems that first learn to reconstruct their modalities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from semistruct._core.randomness import RandomState
from semistruct._core.terms import DeepTerm, Image, Text
from semistruct._core.validation import check_number
from semistruct.encoders import Autoencoder
from semistruct.engine import Training
from semistruct.exceptions import ParameterError
from semistruct.objectives import CrossReconstructionLoss

from .._auxiliary import Auxiliary
from .._state import register
from ._multimodal import FusedSurvival

__all__ = ["ConcatAE", "CrossAE"]


class _Autoencoders(FusedSurvival):
    """Reconstruction first, then Cox regression on the codes; abstract."""

    cross: bool

    def __init__(
        self,
        modalities: Any = None,
        structured: Any = None,
        *,
        hidden: Sequence[int] = (128,),
        output_dim: int = 16,
        pretrain_epochs: int = 30,
        encoders: Mapping[str, Any] | None = None,
        training: Training | None = None,
        missing: str = "error",
        random_state: RandomState = None,
        progress: bool = False,
    ) -> None:
        self.modalities = modalities
        self.structured = structured
        self.hidden = hidden
        self.output_dim = output_dim
        self.pretrain_epochs = pretrain_epochs
        self.encoders = encoders
        self.training = training
        self.missing = missing
        self.random_state = random_state
        self.progress = progress

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_number(
            self.pretrain_epochs,
            parameter="pretrain_epochs",
            owner=type(self).__name__,
            low=1,
            integer=True,
        )
        for term in self._given():
            if isinstance(term, Image | Text):
                raise ParameterError(
                    parameter="modalities",
                    owner=type(self).__name__,
                    allowed="columns of numbers: omics(…) and tabular(…)",
                    given=term.label,
                    hint="For images use pca(image(scan), 50) within tabular(…).",
                )

    def _encoder(self, term: DeepTerm) -> Autoencoder:
        return Autoencoder(self.hidden, self.output_dim)

    def _make_auxiliary(self) -> Auxiliary:
        return Auxiliary(self._loss, epochs=self.pretrain_epochs)

    def _loss(
        self, shapes: Sequence[tuple[int, ...]], dims: Sequence[int]
    ) -> CrossReconstructionLoss:
        decoders = [
            Autoencoder(self.hidden, q).decoder(shape)
            for shape, q in zip(shapes, dims, strict=True)
        ]
        return CrossReconstructionLoss(decoders, self.cross)


@register
class ConcatAE(_Autoencoders):
    """Cox regression on the concatenated codes of one autoencoder for each modality.

    Stage 1 trains encoders and decoders, Σ_m ‖x_m − D_m(E_m x_m)‖² / p_m; stage 2 the
    encoders on, by the Cox loss. What each modality alone knows is kept.

    Parameters
    ----------
    modalities : str or list of Term
        Deep terms of numeric columns, ``"omics('rna_*') + omics('meth_*')"``.
    structured : str or list of Term, optional
        Terms that are added, with coefficients and tests.
    hidden : sequence of int, default=(128,)
        Widths of the hidden layers of encoders; decoders have them in reverse.
    output_dim : int, default=16
        Length of each code, at least 1.
    pretrain_epochs : int, default=30
        Epochs of stage 1, at most; at least 1.
    encoders : dict of str to Encoder, torch.nn.Module or str, optional
        Other encoders, by the column.
    training : Training, optional
        How the networks are trained, in both stages.
    missing : {"error", "drop", "indicator"}, default="error"
        What fit does with rows that lack a structured column.
    random_state : int, Generator, RandomState or None, default=None
        Source of the split, of initial weights, order and dropout.
    progress : bool, default=False
        Whether to show a progress bar on stderr.

    Attributes
    ----------
    pretraining_ : list of TrainResult
        Stage 1.

    Notes
    -----
    Different from the paper: rows that lack a modality are taken, and both stages stop
    early, by rows that are held out.

    References
    ----------
    Tong et al. (2020), BMC Medical Informatics and Decision Making 20, 225,
    doi:10.1186/s12911-020-01225-8

    Examples
    --------
    >>> import semistruct as ss
    >>> X, y = ss.datasets.load_rossi()
    >>> model = ss.systems.ConcatAE(
    ...     "tabular(age, prio) + tabular(fin, wexp, mar)", output_dim=2,
    ...     pretrain_epochs=1, training=ss.Training(max_epochs=1))
    >>> model.fit(X, y).embed(X)["fused"].shape
    (432, 4)
    """

    how = "concat"
    cross = False


@register
class CrossAE(_Autoencoders):
    """Cox regression on the mean code of autoencoders that read each other's codes.

    Stage 1: Σ_i ‖x_i − D_i(E_i x_i)‖² / p_i + Σ_{i≠j} ‖x_j − D_j(E_i x_i)‖² / p_j, so
    that codes agree between modalities; stage 2 trains the encoders on, by the Cox loss
    of the mean of the codes. What modalities share is kept.

    Parameters
    ----------
    modalities : str or list of Term
        Deep terms of numeric columns, ``"omics('rna_*') + omics('meth_*')"``.
    structured : str or list of Term, optional
        Terms that are added, with coefficients and tests.
    hidden : sequence of int, default=(128,)
        Widths of the hidden layers of encoders; decoders have them in reverse.
    output_dim : int, default=16
        Length of each code, at least 1.
    pretrain_epochs : int, default=30
        Epochs of stage 1, at most; at least 1.
    encoders : dict of str to Encoder, torch.nn.Module or str, optional
        Other encoders, by the column; all with one length of their output.
    training : Training, optional
        How the networks are trained, in both stages.
    missing : {"error", "drop", "indicator"}, default="error"
        What fit does with rows that lack a structured column.
    random_state : int, Generator, RandomState or None, default=None
        Source of the split, of initial weights, order and dropout.
    progress : bool, default=False
        Whether to show a progress bar on stderr.

    Attributes
    ----------
    pretraining_ : list of TrainResult
        Stage 1.

    Notes
    -----
    Different from the paper: each error is a mean per column, so that genes do not
    outweigh the clinic; rows that lack a modality are taken; stages stop early.

    References
    ----------
    Tong et al. (2020), BMC Medical Informatics and Decision Making 20, 225,
    doi:10.1186/s12911-020-01225-8

    Examples
    --------
    >>> import semistruct as ss
    >>> X, y = ss.datasets.load_rossi()
    >>> model = ss.systems.CrossAE(
    ...     "tabular(age, prio) + tabular(fin, wexp, mar)", output_dim=2,
    ...     pretrain_epochs=1, training=ss.Training(max_epochs=1))
    >>> model.fit(X, y).embed(X)["fused"].shape
    (432, 2)
    """

    how = "mean"
    cross = True
