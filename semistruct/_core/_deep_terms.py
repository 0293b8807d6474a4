"""The terms that have an encoder."""

from __future__ import annotations

from dataclasses import dataclass, field

from semistruct._core._term import DeepTerm, by_label, with_by

__all__ = ["PCA", "Fuse", "Image", "Omics", "Pretrained", "Tabular", "Text"]


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
    max_tiles : int, optional
        Where a cell is a list of images (a bag): how many of them are read, at most.
    """

    column: str
    encoder: str | None = None
    size: int | tuple[int, int] | None = None
    by: str | None = None
    max_tiles: int | None = None

    @property
    def name(self) -> str:
        return self.column

    @property
    def label(self) -> str:
        return by_label(f"image({self.column})", self.by)

    @property
    def columns(self) -> tuple[str, ...]:
        return with_by((self.column,), self.by)


@dataclass(frozen=True)
class Text(DeepTerm):
    """Texts of one column, through an encoder.

    Parameters
    ----------
    column : str
        Column of strings.
    encoder : str, optional
        Name of the encoder. Default ``"text"``, a small transformer.
    by : str, optional
        As for `Image`.
    vocabulary : int, optional
        Largest number of tokens that are learned. Default 8000.
    max_length : int, optional
        Tokens that are read of a text, at most. Default: enough for 95 % of the texts.
    """

    column: str
    encoder: str | None = None
    by: str | None = None
    vocabulary: int | None = None
    max_length: int | None = None

    @property
    def name(self) -> str:
        return self.column

    @property
    def label(self) -> str:
        return by_label(f"text({self.column})", self.by)

    @property
    def columns(self) -> tuple[str, ...]:
        return with_by((self.column,), self.by)


@dataclass(frozen=True)
class _Columns(DeepTerm):
    """Several numeric columns, through an encoder; abstract."""

    names: tuple[str | DeepTerm, ...]
    encoder: str | None = None
    by: str | None = None
    function: str = field(default="", init=False, repr=False)

    @property
    def name(self) -> str:
        return "_".join(v.name if isinstance(v, DeepTerm) else v for v in self.names)

    @property
    def label(self) -> str:
        inner = (v.label if isinstance(v, DeepTerm) else v for v in self.names)
        return by_label(f"{self.function}({', '.join(inner)})", self.by)

    @property
    def columns(self) -> tuple[str, ...]:
        read = [v.columns if isinstance(v, DeepTerm) else (v,) for v in self.names]
        return with_by(tuple(dict.fromkeys(c for part in read for c in part)), self.by)


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
    names : tuple of str, PCA or Pretrained
        Columns, or patterns; of an early term the features.
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
        The fusion; ``encoders={name: …}`` goes before it, with an object of
        `semistruct.fusion` and its options.
    by : str, optional
        As for `Image`.
    head : {"linear", "mlp"}, default="linear"
        What is made of the fused vector: with ``"linear"`` and ``how="concat"`` the
        modalities only add up; ``"mlp"`` lets them interact.
    dropout : float, default=0.0
        Share of the fused vector that is dropped in training, in [0, 1).
    modality_dropout : float, default=0.0
        Probability that a modality is dropped in training, in [0, 1); one always stays.
    """

    terms: tuple[DeepTerm, ...]
    how: str = "concat"
    by: str | None = None
    head: str = "linear"
    dropout: float = 0.0
    modality_dropout: float = 0.0

    @property
    def name(self) -> str:
        return "fuse_" + "_".join(t.name for t in self.terms)

    @property
    def label(self) -> str:
        return by_label(f"fuse({', '.join(t.label for t in self.terms)})", self.by)

    @property
    def columns(self) -> tuple[str, ...]:
        inner = dict.fromkeys(c for t in self.terms for c in t.columns)
        return with_by(tuple(inner), self.by)


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
