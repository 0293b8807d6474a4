"""Systems that fuse modalities, and what draws the modalities together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from semistruct._core.randomness import RandomState
from semistruct._core.validation import check_choice, check_number
from semistruct.engine import Training
from semistruct.objectives import CorrelationLoss, SimilarityLoss

from .._auxiliary import Auxiliary
from .._discrete import Discrete
from .._state import register
from ._multimodal import FusedSurvival

__all__ = ["DeepCorrSurv", "MultiSurv", "PancancerSurv"]


@register
class PancancerSurv(FusedSurvival):
    """Cox regression on modalities whose vectors are drawn together for each patient.

    Loss: the Cox loss of the mean of the vectors, plus ``similarity_weight`` times
    `semistruct.objectives.similarity_loss`. In training modalities are dropped;
    prediction takes any that a patient has.

    Parameters
    ----------
    modalities : str or list of Term
        Deep terms, ``"tabular(age, stage) + omics('rna_*') + image(slide)"``.
    structured : str or list of Term, optional
        Terms that are added, ``"age + C(stage)"``: with coefficients and tests.
    output_dim : int, default=32
        Length of each modality's vector, at least 1; 512 in the paper.
    similarity_weight : float, default=0.3
        Weight of the similarity loss, at least 0.
    margin : float, default=0.1
        Of the similarity loss, at least 0.
    modality_dropout : float, default=0.25
        Probability that a modality of a row is dropped in training, in [0, 1).
    encoders : dict of str to Encoder, torch.nn.Module or str, optional
        Encoder of each modality, by its column; all with one length of their output.
    training : Training, optional
        How the networks are trained.
    missing : {"error", "drop", "indicator"}, default="error"
        What fit does with rows that lack a structured column.
    random_state : int, Generator, RandomState or None, default=None
        Source of the split, of initial weights, order and dropout.
    progress : bool, default=False
        Whether to show a progress bar on stderr.

    Attributes
    ----------
    pretraining_ : list of TrainResult
        Of a stage before; empty for this system.

    Notes
    -----
    Different from the paper: encoders are those of this package, and the structured
    part, which has none there. ``embed(X)["fused"]`` is what its t-SNE maps show.

    References
    ----------
    Cheerla & Gevaert (2019), Bioinformatics 35, i446-i454,
    doi:10.1093/bioinformatics/btz342

    Examples
    --------
    >>> import semistruct as ss
    >>> X, y = ss.datasets.make_survival_digits(120, random_state=0)
    >>> model = ss.systems.PancancerSurv(
    ...     "tabular(age, bmi) + image(scan)", training=ss.Training(max_epochs=1))
    >>> {k: v.shape for k, v in model.fit(X, y).embed(X[:5]).items()}
    {'age_bmi': (5, 32), 'scan': (5, 32), 'fused': (5, 32)}
    """

    how = "mean"

    def __init__(
        self,
        modalities: Any = None,
        structured: Any = None,
        *,
        output_dim: int = 32,
        similarity_weight: float = 0.3,
        margin: float = 0.1,
        modality_dropout: float = 0.25,
        encoders: Mapping[str, Any] | None = None,
        training: Training | None = None,
        missing: str = "error",
        random_state: RandomState = None,
        progress: bool = False,
    ) -> None:
        self.modalities = modalities
        self.structured = structured
        self.output_dim = output_dim
        self.similarity_weight = similarity_weight
        self.margin = margin
        self.modality_dropout = modality_dropout
        self.encoders = encoders
        self.training = training
        self.missing = missing
        self.random_state = random_state
        self.progress = progress

    def _check_parameters(self) -> None:
        super()._check_parameters()
        for name in ("similarity_weight", "margin"):
            value = getattr(self, name)
            check_number(value, parameter=name, owner="PancancerSurv", low=0)

    def _make_auxiliary(self) -> Auxiliary:
        margin = float(self.margin)
        return Auxiliary(
            lambda shapes, dims: SimilarityLoss(margin), self.similarity_weight
        )


@register
class DeepCorrSurv(FusedSurvival):
    """Cox regression on modalities whose networks first learn what they share.

    Stage 1 maximises the correlation of the modalities' vectors, without the target;
    stage 2 trains the networks on, by the Cox loss of their concatenation.

    Parameters
    ----------
    modalities : str or list of Term
        Deep terms, two in the paper; the correlation of several is summed over pairs.
    structured : str or list of Term, optional
        Terms that are added, with coefficients and tests.
    correlation : {"pearson", "canonical"}, default="pearson"
        The sum of the correlations of like dimensions, or the trace norm of deep
        canonical correlation, whose batches need many more rows than ``output_dim``.
    pretrain_epochs : int, default=20
        Epochs of stage 1, at most; at least 1.
    output_dim : int, default=16
        Length of each modality's vector, at least 1.
    encoders : dict of str to Encoder, torch.nn.Module or str, optional
        Encoder of each modality, by its column.
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
        Stage 1; the loss is minus the correlation.

    Notes
    -----
    Different from the paper: both stages stop early, by rows that are held out; rows
    that lack a modality learn in stage 2 only.

    References
    ----------
    Yao et al. (2017), MICCAI, 406-414, doi:10.1007/978-3-319-66185-8_46

    Examples
    --------
    >>> import semistruct as ss
    >>> X, y = ss.datasets.make_survival_digits(120, random_state=0)
    >>> model = ss.systems.DeepCorrSurv(
    ...     "tabular(age, bmi) + image(scan)", pretrain_epochs=1,
    ...     training=ss.Training(max_epochs=1))
    >>> model.fit(X, y).predict(X[:3]).shape
    (3,)
    """

    how = "concat"

    def __init__(
        self,
        modalities: Any = None,
        structured: Any = None,
        *,
        correlation: str = "pearson",
        pretrain_epochs: int = 20,
        output_dim: int = 16,
        encoders: Mapping[str, Any] | None = None,
        training: Training | None = None,
        missing: str = "error",
        random_state: RandomState = None,
        progress: bool = False,
    ) -> None:
        self.modalities = modalities
        self.structured = structured
        self.correlation = correlation
        self.pretrain_epochs = pretrain_epochs
        self.output_dim = output_dim
        self.encoders = encoders
        self.training = training
        self.missing = missing
        self.random_state = random_state
        self.progress = progress

    def _check_parameters(self) -> None:
        super()._check_parameters()
        owner = type(self).__name__
        check_choice(
            self.correlation,
            ("pearson", "canonical"),
            parameter="correlation",
            owner=owner,
        )
        check_number(
            self.pretrain_epochs,
            parameter="pretrain_epochs",
            owner=owner,
            low=1,
            integer=True,
        )

    def _make_auxiliary(self) -> Auxiliary:
        how = self.correlation
        return Auxiliary(
            lambda shapes, dims: CorrelationLoss(how), epochs=self.pretrain_epochs
        )


@register
class MultiSurv(FusedSurvival):
    """Survival in intervals of time, from modalities that are fused by their maximum.

    The network gives each interval's conditional survival probability; its loss is
    `semistruct.objectives.multisurv_loss`, in which a censored row has survived the
    interval whose midpoint it reached.

    Parameters
    ----------
    modalities : str or list of Term
        Deep terms, ``"tabular(age, stage) + omics('rna_*')"``.
    structured : str or list of Term, optional
        Terms that are added, with coefficients of each interval.
    cuts : int or array-like, default=10
        Ends of the intervals, or their number: quantiles of the event times. The paper
        has years, ``cuts=np.arange(1, 31)``.
    fusion : str, default="max"
        ``"max"``, or another of `semistruct.fusion`: "sum", "prod", "concat",
        "embrace", "attention", …
    output_dim : int, default=64
        Length of each modality's vector, at least 1; 512 in the paper.
    modality_dropout : float, default=0.0
        Probability that a modality of a row is dropped in training, in [0, 1).
    encoders : dict of str to Encoder, torch.nn.Module or str, optional
        Encoder of each modality, by its column.
    training : Training, optional
        How the networks are trained.
    missing : {"error", "drop", "indicator"}, default="error"
        What fit does with rows that lack a structured column.
    random_state : int, Generator, RandomState or None, default=None
        Source of the split, of initial weights, order and dropout.
    progress : bool, default=False
        Whether to show a progress bar on stderr.

    Notes
    -----
    Different from the paper: each interval starts from its maximum-likelihood hazard,
    on which the network builds, and a missing modality is masked, not guessed from
    zeros. The paper's auxiliary loss of the vectors is left out.

    References
    ----------
    Vale-Silva & Rohr (2021), Scientific Reports 11, 13505,
    doi:10.1038/s41598-021-92799-4

    Examples
    --------
    >>> import semistruct as ss
    >>> X, y = ss.datasets.make_survival_digits(150, random_state=0)
    >>> model = ss.systems.MultiSurv(
    ...     "tabular(age, bmi) + image(scan)", cuts=4,
    ...     training=ss.Training(max_epochs=1))
    >>> model.fit(X, y).predict_survival_function(X[:2]).values.shape
    (2, 4)
    """

    top = "mlp"

    def __init__(
        self,
        modalities: Any = None,
        structured: Any = None,
        *,
        cuts: Any = 10,
        fusion: str = "max",
        output_dim: int = 64,
        modality_dropout: float = 0.0,
        encoders: Mapping[str, Any] | None = None,
        training: Training | None = None,
        missing: str = "error",
        random_state: RandomState = None,
        progress: bool = False,
    ) -> None:
        self.modalities = modalities
        self.structured = structured
        self.cuts = cuts
        self.fusion = fusion
        self.output_dim = output_dim
        self.modality_dropout = modality_dropout
        self.encoders = encoders
        self.training = training
        self.missing = missing
        self.random_state = random_state
        self.progress = progress

    @property
    def how(self) -> str:  # type: ignore[override]
        """Name of the fusion."""
        return self.fusion

    @property
    def head(self) -> Discrete:
        """Discrete times with the loss of the paper."""
        return Discrete(loss="multisurv", cuts=self.cuts, effects="varying")
