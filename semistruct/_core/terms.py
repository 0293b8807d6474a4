"""The terms of a predictor, as frozen dataclasses: what a formula parses to.

A predictor is a sum of terms. Structured terms enter the exact path; deep terms are an
encoder, a latent vector and one additive contribution.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any

from semistruct.exceptions import PersistenceError

__all__ = [
    "PCA",
    "DeepTerm",
    "Fuse",
    "Image",
    "Linear",
    "Offset",
    "Omics",
    "Pretrained",
    "RandomEffect",
    "Smooth",
    "StructuredTerm",
    "Tabular",
    "Tensor",
    "Term",
    "Text",
    "term_from_state",
    "term_to_state",
    "walk",
]


@dataclass(frozen=True)
class Term:
    """Base of all terms; abstract."""

    @property
    def label(self) -> str:
        """Name of the term, as tables and plots show it."""
        raise TypeError(f"{type(self).__name__} is abstract")

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the table that the term reads, ``by`` included."""
        raise TypeError(f"{type(self).__name__} is abstract")


@dataclass(frozen=True)
class StructuredTerm(Term):
    """Base of the terms of the structured (interpretable) head; abstract."""


@dataclass(frozen=True)
class DeepTerm(Term):
    """Base of the terms that have an encoder; abstract."""

    @property
    def name(self) -> str:
        """Key of the term in ``encoders=`` and in batches."""
        raise TypeError(f"{type(self).__name__} is abstract")


def _with_by(columns: tuple[str, ...], by: str | None) -> tuple[str, ...]:
    return columns if by is None else (*columns, by)


def _by_label(label: str, by: str | None) -> str:
    return label if by is None else f"{label}:{by}"


@dataclass(frozen=True)
class Linear(StructuredTerm):
    """Parametric terms, in formulaic's language.

    Parameters
    ----------
    formula : str
        For instance ``"age + C(stage) + age:C(stage)"``; ``"0"`` takes the intercept
        out.

    Examples
    --------
    >>> import semistruct as ss
    >>> ss.terms.Linear("age + C(stage)").label
    'age + C(stage)'
    """

    formula: str

    @property
    def label(self) -> str:
        return self.formula

    @property
    def columns(self) -> tuple[str, ...]:
        return ()  # the design reads them off the formula


@dataclass(frozen=True)
class Smooth(StructuredTerm):
    """A penalised smooth function of one column.

    Parameters
    ----------
    column : str
        Numeric column.
    k : int, default=10
        Dimension of the basis before the sum-to-zero constraint.
    bs : {"ps"}, default="ps"
        Basis: P-splines (cubic, second differences).
    by : str, optional
        Numeric column that multiplies the smooth, or factor with a smooth per level.
    sp : float, optional
        Smoothing parameter, >= 0; estimated by REML where it is not given.
    """

    column: str
    k: int = 10
    bs: str = "ps"
    by: str | None = None
    sp: float | None = None

    @property
    def label(self) -> str:
        return _by_label(f"s({self.column})", self.by)

    @property
    def columns(self) -> tuple[str, ...]:
        return _with_by((self.column,), self.by)


@dataclass(frozen=True)
class Tensor(StructuredTerm):
    """A tensor product smooth of several columns, one penalty for each.

    Parameters
    ----------
    names : tuple of str
        Numeric columns, two or more.
    k : int, default=5
        Dimension of each marginal basis.
    bs : {"ps"}, default="ps"
        Marginal basis.
    by : str, optional
        As for `Smooth`.
    sp : tuple of float, optional
        Smoothing parameters, one for each column.
    interaction : bool, default=False
        Whether main effects are taken out (``ti``) or are part of it (``te``).
    """

    names: tuple[str, ...]
    k: int = 5
    bs: str = "ps"
    by: str | None = None
    sp: tuple[float, ...] | None = None
    interaction: bool = False

    @property
    def label(self) -> str:
        function = "ti" if self.interaction else "te"
        return _by_label(f"{function}({', '.join(self.names)})", self.by)

    @property
    def columns(self) -> tuple[str, ...]:
        return _with_by(self.names, self.by)


@dataclass(frozen=True)
class RandomEffect(StructuredTerm):
    """A random intercept, or a random slope: a ridge with its own variance.

    Parameters
    ----------
    group : str
        Column of the grouping factor.
    slope : str, optional
        Numeric column whose slope varies over groups.
    sp : float, optional
        Ratio of the residual variance to the variance of the effect.
    """

    group: str
    slope: str | None = None
    sp: float | None = None

    @property
    def label(self) -> str:
        inner = self.group if self.slope is None else f"{self.group}, {self.slope}"
        return f"re({inner})"

    @property
    def columns(self) -> tuple[str, ...]:
        return _with_by((self.group,), self.slope)


@dataclass(frozen=True)
class Offset(StructuredTerm):
    """A known contribution to the linear predictor, with coefficient 1.

    Parameters
    ----------
    column : str
        Numeric column, on the scale of the link.
    """

    column: str

    @property
    def label(self) -> str:
        return f"offset({self.column})"

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)


@dataclass(frozen=True)
class Image(DeepTerm):
    """Images of one column, through an encoder.

    Parameters
    ----------
    column : str
        Column of images: a `TensorArray`, or cells that are paths, PIL images, arrays.
    encoder : str, optional
        Name of the encoder; ``encoders={column: …}`` goes before it. Default ``"cnn"``.
    size : int or (int, int), optional
        Height and width to which every image is resized.
    by : str, optional
        Numeric column x: the contribution is x·d(image).
    """

    column: str
    encoder: str | None = None
    size: int | tuple[int, int] | None = None
    by: str | None = None

    @property
    def name(self) -> str:
        return self.column

    @property
    def label(self) -> str:
        return _by_label(f"image({self.column})", self.by)

    @property
    def columns(self) -> tuple[str, ...]:
        return _with_by((self.column,), self.by)


@dataclass(frozen=True)
class Text(DeepTerm):
    """Texts of one column, through an encoder.

    Parameters
    ----------
    column : str
        Column of strings.
    encoder : str, optional
        Name of the encoder.
    by : str, optional
        As for `Image`.
    """

    column: str
    encoder: str | None = None
    by: str | None = None

    @property
    def name(self) -> str:
        return self.column

    @property
    def label(self) -> str:
        return _by_label(f"text({self.column})", self.by)

    @property
    def columns(self) -> tuple[str, ...]:
        return _with_by((self.column,), self.by)


@dataclass(frozen=True)
class _Columns(DeepTerm):
    """Several numeric columns, through an encoder; abstract."""

    names: tuple[str, ...]
    encoder: str | None = None
    by: str | None = None
    function: str = field(default="", init=False, repr=False)

    @property
    def name(self) -> str:
        return self.function + "_" + "_".join(self.names)

    @property
    def label(self) -> str:
        return _by_label(f"{self.function}({', '.join(self.names)})", self.by)

    @property
    def columns(self) -> tuple[str, ...]:
        return _with_by(self.names, self.by)


@dataclass(frozen=True)
class Omics(_Columns):
    """Many numeric columns, such as genes, through an encoder.

    Parameters
    ----------
    names : tuple of str
        Columns, or patterns such as ``"rna_*"``.
    encoder : str, optional
        Name of the encoder. Default ``"mlp"``.
    by : str, optional
        As for `Image`.
    """

    function: str = field(default="omics", init=False, repr=False)


@dataclass(frozen=True)
class Tabular(_Columns):
    """A few numeric columns, through an encoder: the deep part of Wide & Deep.

    Parameters
    ----------
    names : tuple of str
        Columns, or patterns.
    encoder : str, optional
        Name of the encoder. Default ``"mlp"``.
    by : str, optional
        As for `Image`.
    """

    function: str = field(default="tabular", init=False, repr=False)


@dataclass(frozen=True)
class Fuse(DeepTerm):
    """Joint fusion of several deep terms into one contribution.

    Parameters
    ----------
    terms : tuple of DeepTerm
        What is fused, two or more.
    how : str, default="concat"
        The fusion.
    by : str, optional
        As for `Image`.
    """

    terms: tuple[DeepTerm, ...]
    how: str = "concat"
    by: str | None = None

    @property
    def name(self) -> str:
        return "fuse_" + "_".join(t.name for t in self.terms)

    @property
    def label(self) -> str:
        return _by_label(f"fuse({', '.join(t.label for t in self.terms)})", self.by)

    @property
    def columns(self) -> tuple[str, ...]:
        inner = dict.fromkeys(c for t in self.terms for c in t.columns)
        return _with_by(tuple(inner), self.by)


@dataclass(frozen=True)
class PCA(DeepTerm):
    """Early fusion: principal components of a modality, as structured columns.

    Parameters
    ----------
    term : DeepTerm
        The modality.
    n_components : int
        How many components.
    """

    term: DeepTerm
    n_components: int = 10

    @property
    def name(self) -> str:
        return "pca_" + self.term.name

    @property
    def label(self) -> str:
        return f"pca({self.term.label}, {self.n_components})"

    @property
    def columns(self) -> tuple[str, ...]:
        return self.term.columns


@dataclass(frozen=True)
class Pretrained(DeepTerm):
    """Early fusion: features of a pretrained encoder, as structured columns.

    Parameters
    ----------
    encoder : str
        Name of the encoder.
    column : str
        Column that it reads.
    """

    encoder: str
    column: str

    @property
    def name(self) -> str:
        return "pretrained_" + self.column

    @property
    def label(self) -> str:
        return f"pretrained({self.encoder}, {self.column})"

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)


def walk(term: Term) -> Iterator[Term]:
    """Give a term and the terms inside it."""
    yield term
    for f in fields(term):
        value: Any = getattr(term, f.name)
        for inner in value if isinstance(value, tuple) else (value,):
            if isinstance(inner, Term):
                yield from walk(inner)


def term_to_state(term: Term) -> dict[str, Any]:
    """Give a term as JSON types."""
    return {"term": type(term).__name__} | {
        f.name: _value_to_state(getattr(term, f.name)) for f in fields(term) if f.init
    }


def term_from_state(state: dict[str, Any]) -> Term:
    """Rebuild a term; an unknown kind is an error, never an import."""
    kinds = {k.__name__: k for k in _KINDS}
    kind = kinds.get(str(state.get("term")))
    if kind is None:
        raise PersistenceError(
            f"The saved model holds a term of kind {state.get('term')!r}; known are "
            f"{', '.join(sorted(kinds))}. It may come from a newer version."
        )
    values = {k: _value_from_state(v) for k, v in state.items() if k != "term"}
    return kind(**values)


def _value_to_state(value: Any) -> Any:
    if isinstance(value, Term):
        return term_to_state(value)
    if isinstance(value, tuple):
        return [_value_to_state(v) for v in value]
    return value


def _value_from_state(value: Any) -> Any:
    if isinstance(value, dict):
        return term_from_state(value)
    if isinstance(value, list):
        return tuple(_value_from_state(v) for v in value)
    return value


_KINDS: tuple[type[Term], ...] = (
    Fuse,
    Image,
    Linear,
    Offset,
    Omics,
    PCA,
    Pretrained,
    RandomEffect,
    Smooth,
    Tabular,
    Tensor,
    Text,
)
