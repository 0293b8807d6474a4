"""Systems that add what a network knows to what can be read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from semistruct._core.randomness import RandomState
from semistruct._core.terms import DeepTerm, Fuse, Tabular
from semistruct._core.validation import check_choice
from semistruct.design import structured_columns
from semistruct.engine import Training
from semistruct.exceptions import ParameterError
from semistruct.families import Family

from .. import _input
from .._pamm import PAMM
from .._regressor import SemiStructuredRegressor
from .._state import register
from ._multimodal import Multimodal, MultimodalSurvival

__all__ = ["SSDDR", "DeepPAMM", "TwoStage", "WideDeepSurv"]


@register
class WideDeepSurv(MultimodalSurvival):
    """Cox regression: linear in the table, plus a network of an image or of genes.

    Parameters
    ----------
    modalities : str or list of Term
        Deep terms, each of which adds to the log hazard ratio.
    structured : str or list of Term, optional
        The wide part, ``"age + C(stage)"``.
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
    As in the paper nothing keeps the deep part from what the wide part explains;
    `semistruct.SemiStructuredSurvival` does. Different from it: the wide part is fitted
    exactly before and after the network, not by its gradient steps, and the paper's
    PointNet of anatomical shapes is a module of your own in ``encoders``.

    References
    ----------
    Pölsterl et al. (2020), A wide and deep neural network for survival analysis from
    anatomical shape and tabular clinical data, doi:10.1007/978-3-030-43823-4_37

    Examples
    --------
    >>> import semistruct as ss
    >>> X, y = ss.datasets.make_survival_digits(120, random_state=0)
    >>> model = ss.systems.WideDeepSurv(
    ...     "image(scan)", "age + bmi", training=ss.Training(max_epochs=1))
    >>> model.fit(X, y).params_.index.tolist()
    ['age', 'bmi']
    """

    orthogonalize = "none"


@register
class DeepPAMM(MultimodalSurvival):
    """Piecewise exponential additive mixed model with deep terms.

    The structured terms may read the time: ``s(time)`` is the log baseline hazard (it
    is added where no term reads the time), ``s(time, by=x)`` an effect that varies over
    time, ``re(id)`` a frailty.

    Parameters
    ----------
    modalities : str or list of Term
        Deep terms, each of which adds to the log hazard.
    structured : str or list of Term, optional
        Terms of the piecewise exponential model, ``"s(time) + age + re(centre)"``.
    cuts : int, array-like of shape (J,) or None, default=None
        Ends of the intervals, as for `semistruct.heads.PAMM`.
    time : str, default="time"
        Name by which terms read the time.
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
    Different from the paper: smoothing parameters are estimated by REML, the deep terms
    are orthogonalised over all rows and not batch by batch, and a network sees each
    subject once, not once for each interval.

    References
    ----------
    Kopper et al. (2022), PAKDD, 249-261, doi:10.1007/978-3-031-05936-0_20

    Examples
    --------
    >>> import semistruct as ss
    >>> X, y = ss.datasets.make_survival_digits(150, random_state=0)
    >>> model = ss.systems.DeepPAMM(
    ...     "image(scan)", "s(time, k=5) + age", cuts=12,
    ...     training=ss.Training(max_epochs=1))
    >>> model.fit(X, y).params_.index.tolist()[0]
    'Intercept'
    """

    def __init__(
        self,
        modalities: Any = None,
        structured: Any = None,
        *,
        cuts: Any = None,
        time: str = "time",
        encoders: Mapping[str, Any] | None = None,
        training: Training | None = None,
        missing: str = "error",
        random_state: RandomState = None,
        progress: bool = False,
    ) -> None:
        self.modalities = modalities
        self.structured = structured
        self.cuts = cuts
        self.time = time
        self.encoders = encoders
        self.training = training
        self.missing = missing
        self.random_state = random_state
        self.progress = progress

    @property
    def head(self) -> PAMM:
        """Piecewise exponential."""
        return PAMM(cuts=self.cuts, time=self.time)


@register
class SSDDR(SemiStructuredRegressor):
    """Semi-structured deep distributional regression.

    Each parameter of the distribution has a formula, with smooth and deep terms; the
    deep terms lose what the structured ones can explain in each batch of training.

    Parameters
    ----------
    terms : dict of str to formula, str or list of Term
        ``{"loc": "x + s(z) + image(scan)", "scale": "x"}``.
    family : str or Family, default="gaussian"
        Distribution of ``y``, see `semistruct.families`.
    encoders : dict of str to Encoder, torch.nn.Module or str, optional
        Encoder of each deep term, by its column.
    training : Training, optional
        How the networks are trained.
    missing : {"error", "drop", "indicator"}, default="error"
        What fit does with rows that lack a structured column or y.
    random_state : int, Generator, RandomState or None, default=None
        Source of the split, of initial weights, order and dropout.
    progress : bool, default=False
        Whether to show a progress bar on stderr.

    Notes
    -----
    Different from the paper: after training, the projection is that of all rows, and
    the prediction of a row does not depend on the others; smoothing parameters are
    estimated by REML; structured coefficients are fitted exactly beside the network.

    References
    ----------
    Rügamer, Kolb & Klein (2024), The American Statistician 78, 88-99,
    doi:10.1080/00031305.2022.2164054

    Examples
    --------
    >>> import semistruct as ss
    >>> X, y = ss.datasets.make_regression_digits(120, random_state=0)
    >>> model = ss.systems.SSDDR(
    ...     {"loc": "age + image(scan)", "scale": "age"},
    ...     training=ss.Training(max_epochs=1))
    >>> model.fit(X, y).predict_parameters(X[:2]).columns.tolist()
    ['loc', 'scale']
    """

    method = "REML"
    orthogonalize = "batch"

    def __init__(
        self,
        terms: Any = None,
        *,
        family: str | Family = "gaussian",
        encoders: Mapping[str, Any] | None = None,
        training: Training | None = None,
        missing: str = "error",
        random_state: RandomState = None,
        progress: bool = False,
    ) -> None:
        self.terms = terms
        self.family = family
        self.encoders = encoders
        self.training = training
        self.missing = missing
        self.random_state = random_state
        self.progress = progress


@register
class TwoStage(Multimodal, SemiStructuredRegressor):
    """Regression in two stages: a model that can be read, then a network of the rest.

    The structured part is fitted alone and stays as it is; networks are fitted to what
    it leaves. Coefficients are those of the structured model, as without the images.

    Parameters
    ----------
    modalities : str or list of Term
        Deep terms, ``"image(front) + image(street)"``.
    structured : str or list of Term
        Terms of the first stage, ``"s(area) + re(zipcode)"``.
    second : {"additive", "nonlinear"}, default="additive"
        What the second stage reads: the modalities, each of which adds a column to
        ``predict_terms``; or all of them and the structured columns in one network, so
        that they interact.
    family : str or Family, default="gaussian"
        Distribution of ``y``, see `semistruct.families`.
    encoders : dict of str to Encoder, torch.nn.Module or str, optional
        Encoder of each modality, by its column.
    training : Training, optional
        How the networks are trained.
    missing : {"error", "drop", "indicator"}, default="error"
        What fit does with rows that lack a structured column or y.
    random_state : int, Generator, RandomState or None, default=None
        Source of the split, of initial weights, order and dropout.
    progress : bool, default=False
        Whether to show a progress bar on stderr.

    Notes
    -----
    Law et al. compare a nonlinear with a linear, readable combination of housing
    attributes and image features; ``second`` is that choice. Different from them: the
    structured part comes first, and smooth terms may stand in it.

    References
    ----------
    Law, Paige & Russell (2019), ACM Transactions on Intelligent Systems and Technology
    10, 54, doi:10.1145/3342240

    Examples
    --------
    >>> import semistruct as ss
    >>> X, y = ss.datasets.make_regression_digits(120, random_state=0)
    >>> model = ss.systems.TwoStage(
    ...     "image(scan)", "age + s(bmi, k=5)", training=ss.Training(max_epochs=1))
    >>> list(model.fit(X, y).predict_terms(X[:2]))
    ['Intercept', 'age', 's(bmi)', 'image(scan)']
    """

    method = "REML"
    orthogonalize = "none"
    strategy = "two_stage"

    def __init__(
        self,
        modalities: Any = None,
        structured: Any = None,
        *,
        second: str = "additive",
        family: str | Family = "gaussian",
        encoders: Mapping[str, Any] | None = None,
        training: Training | None = None,
        missing: str = "error",
        random_state: RandomState = None,
        progress: bool = False,
    ) -> None:
        self.modalities = modalities
        self.structured = structured
        self.second = second
        self.family = family
        self.encoders = encoders
        self.training = training
        self.missing = missing
        self.random_state = random_state
        self.progress = progress

    def _joined(self, deep: tuple[DeepTerm, ...]) -> tuple[DeepTerm, ...]:
        read = structured_columns(
            [t for t in _input.as_terms(self.structured) if not isinstance(t, DeepTerm)]
        )
        if self.second != "nonlinear" or not read or not deep:
            return deep
        return (Fuse((Tabular(tuple(read)), *deep), "concat", head="mlp"),)

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_choice(
            self.second,
            ("additive", "nonlinear"),
            parameter="second",
            owner="TwoStage",
        )
        if self.structured is None:
            raise ParameterError(
                parameter="structured",
                owner="TwoStage",
                allowed="a formula: the first stage",
                given=None,
            )
