"""The estimator over systems of an image tower and a text tower.

Letters: n rows, m rows of a gallery, d numbers of an embedding, K classes, P prompts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import TransformerMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from semistruct._core.randomness import RandomState
from semistruct.engine import Training
from semistruct.exceptions import ParameterError
from semistruct.vlm._columns import Columns, as_table, codes_of
from semistruct.vlm._estimator import SystemEstimator
from semistruct.vlm._retrieval import check_prompts, nearest, recall_at

__all__ = ["DualEncoder"]


class DualEncoder(TransformerMixin, SystemEstimator):
    """Learn images and their texts into one space; then retrieve, or classify.

    Parameters
    ----------
    system : str, default="clip"
        ``"clip"``, ``"align"``, ``"florence"``, ``"vse++"`` or ``"lit"``. See
        ``SYSTEMS``.
    image, text : str, default="image" and "caption"
        Columns of the images and of the texts.
    label : str, optional
        Column of the classes, for ``"florence"``; the same text is the same class when
        not given.
    config : object, optional
        The system's configuration, such as a `CLIPConfig`; its defaults when not given.
    visual : torch.nn.Module, optional
        Image tower to begin with, such as ``SelfSupervised(…).encoder_``; its weights
        are copied. ``"lit"`` leaves them as they are.
    size : int or (int, int), optional
        Height and width that images are resized to; their own when not given.
    training : Training, optional
        Default: 30 epochs in batches of 128 at the learning rate 2e-3, one cycle, no
        validation rows.
    random_state : int, Generator, RandomState or None, default=None
        Where the randomness comes from.
    progress : bool, default=False
        Whether to show progress.

    Attributes
    ----------
    system_ : System
        The trained system; ``system_.visual`` and ``system_.textual`` are its towers,
        each of use as an encoder of a term.
    history_ : DataFrame
        A row for each epoch.

    Notes
    -----
    Rows of which a cell is null are left out of `fit`.

    Examples
    --------
    >>> import semistruct as ss
    >>> from semistruct.engine import Training
    >>> from semistruct.vlm import DualEncoder
    >>> X = ss.datasets.make_captioned_shapes(64)
    >>> training = Training(max_epochs=1, validation_fraction=0.0)
    >>> model = DualEncoder(training=training, random_state=0).fit(X)
    >>> model.predict(X[:2], ["circle", "square"], ["one red {}", "two red {}s"]).shape
    (2,)
    """

    def __init__(
        self,
        system: str = "clip",
        image: str = "image",
        text: str = "caption",
        label: str | None = None,
        config: Any = None,
        visual: nn.Module | None = None,
        size: Any = None,
        training: Training | None = None,
        random_state: RandomState = None,
        progress: bool = False,
    ) -> None:
        self.system = system
        self.image = image
        self.text = text
        self.label = label
        self.config = config
        self.visual = visual
        self.size = size
        self.training = training
        self.random_state = random_state
        self.progress = progress

    def fit(self, X: Any, y: Any = None) -> DualEncoder:
        """Train the system.

        Parameters
        ----------
        X : DataFrame of n rows
            Holds the columns.
        y : object, optional
            Not used; there so that pipelines can pass it.

        Returns
        -------
        self
        """
        owner, kind = type(self).__name__, self._kind()
        if not {"image", "text"}.issubset(kind.reads):
            raise ParameterError(
                parameter="system",
                owner=owner,
                allowed="a system that reads images and texts",
                given=self.system,
                hint="SelfSupervised reads one modality.",
            )
        if self.visual is not None and not isinstance(self.visual, nn.Module):
            raise ParameterError(
                parameter="visual",
                owner=owner,
                allowed="a torch.nn.Module or None",
                given=self.visual,
            )
        if self.label is not None and "label" not in kind.reads:
            raise ParameterError(
                parameter="label",
                owner=owner,
                allowed=f"None, since the system {self.system!r} reads no labels",
                given=self.label,
            )
        names = {"image": self.image, "text": self.text}
        table = as_table(X, self.image, owner)
        columns = Columns.fit(table, names, owner, size=self.size)
        table = self._complete(table, columns)
        extra: dict[str, Tensor] = {}
        if "label" in kind.reads:
            name = self.text if self.label is None else self.label
            extra["label"] = codes_of(as_table(table, name, owner)[name])
        self._train(table, columns, extra, self.visual)
        return self

    # -- embeddings -------------------------------------------------------------

    def transform(self, X: Any) -> np.ndarray:
        """Embed images.

        Parameters
        ----------
        X : DataFrame of n rows, or Series
            Holds the column of images.

        Returns
        -------
        ndarray of shape (n, d)
            Rows of length 1.
        """
        check_is_fitted(self, "system_")
        table = as_table(X, self.image, type(self).__name__)
        return self._embed(_Part(self.system_.network, "image"), table, "image")

    def embed_texts(self, texts: Any) -> np.ndarray:
        """Embed texts.

        Parameters
        ----------
        texts : sequence of str, Series or DataFrame of n rows
            A DataFrame holds the column of texts.

        Returns
        -------
        ndarray of shape (n, d)
            Rows of length 1.
        """
        check_is_fitted(self, "system_")
        if not isinstance(texts, pd.DataFrame | pd.Series):
            texts = pd.Series(list(texts), dtype=object)
        table = as_table(texts, self.text, type(self).__name__)
        return self._embed(_Part(self.system_.network, "text"), table, "text")

    # -- zero-shot classes ------------------------------------------------------

    def class_scores(
        self, X: Any, classes: Sequence[str], prompts: Sequence[str] = ("{}",)
    ) -> pd.DataFrame:
        """Give the cosines of images with classes that are named in words.

        A class is the normalised mean of the embeddings of its P prompts.

        Parameters
        ----------
        X : DataFrame of n rows, or Series
        classes : sequence of str
            Names of the K classes.
        prompts : sequence of str, default=("{}",)
            Texts with ``{}`` where the name goes.

        Returns
        -------
        DataFrame of shape (n, K)
            With the classes as columns, and the index of ``X``.
        """
        owner = type(self).__name__
        templates = check_prompts(prompts, owner)
        names = list(classes)
        if not names or not all(isinstance(name, str) for name in names):
            raise ParameterError(
                parameter="classes",
                owner=owner,
                allowed="names of classes, at least one",
                given=classes,
            )
        texts = [prompt.replace("{}", name) for name in names for prompt in templates]
        each = self.embed_texts(texts).reshape(len(names), len(templates), -1)
        mean = each.mean(axis=1)  # (K, d)
        mean /= np.linalg.norm(mean, axis=1, keepdims=True)
        images = self.transform(X)
        return pd.DataFrame(images @ mean.T, columns=names, index=X.index)

    def predict(
        self, X: Any, classes: Sequence[str], prompts: Sequence[str] = ("{}",)
    ) -> np.ndarray:
        """Choose the class whose words are nearest; none was trained for.

        Parameters
        ----------
        X : DataFrame of n rows, or Series
        classes : sequence of str
            Names of the K classes.
        prompts : sequence of str, default=("{}",)
            Texts with ``{}`` where the name goes.

        Returns
        -------
        ndarray of str of shape (n,)
        """
        scores = self.class_scores(X, classes, prompts).to_numpy()
        return np.asarray(list(classes), dtype=object)[scores.argmax(axis=1)]

    # -- retrieval --------------------------------------------------------------

    def retrieve(self, texts: Any, X: Any, k: int = 5) -> np.ndarray:
        """Find the images that fit texts best.

        Parameters
        ----------
        texts : sequence of str, Series or DataFrame of n rows
        X : DataFrame of m rows, or Series
            The images.
        k : int, default=5
            How many, in [1, m].

        Returns
        -------
        ndarray of int of shape (n, k)
            Positions in ``X``, the best first.
        """
        return nearest(self.embed_texts(texts), self.transform(X), k)

    def retrieve_texts(self, X: Any, texts: Any, k: int = 5) -> np.ndarray:
        """Find the texts that fit images best.

        Parameters
        ----------
        X : DataFrame of n rows, or Series
            The images.
        texts : sequence of str, Series or DataFrame of m rows
        k : int, default=5
            How many, in [1, m].

        Returns
        -------
        ndarray of int of shape (n, k)
            Positions in ``texts``, the best first.
        """
        return nearest(self.transform(X), self.embed_texts(texts), k)

    def recall(self, X: Any, k: Sequence[int] = (1, 5, 10)) -> pd.DataFrame:
        """Share of rows that find their partner among the k best of all rows.

        Rows of the same text are partners of one another.

        Parameters
        ----------
        X : DataFrame of n rows
            Holds both columns.
        k : sequence of int, default=(1, 5, 10)
            Each in [1, n].

        Returns
        -------
        DataFrame
            Rows ``"image to text"`` and ``"text to image"``, columns ``"R@k"``.
        """
        table = as_table(X, self.text, type(self).__name__)
        images, texts = self.transform(table), self.embed_texts(table)
        groups = table[self.text]
        found = {
            "image to text": recall_at(images, texts, groups, k),
            "text to image": recall_at(texts, images, groups, k),
        }
        return pd.DataFrame(found).T.rename(columns=lambda j: f"R@{j}")

    def score(self, X: Any, y: Any = None) -> float:
        """Mean of R@1 both ways, see `recall`.

        Parameters
        ----------
        X : DataFrame of n rows
            Holds both columns.
        y : object, optional
            Not used.

        Returns
        -------
        float
            In [0, 1].
        """
        return float(self.recall(X, k=(1,)).to_numpy().mean())

    def _left_behind(self) -> dict[str, Any]:
        return {"visual": None}  # its weights, as trained, are in the system


class _Part(nn.Module):
    """One side of a `DualNetwork`."""

    def __init__(self, network: Any, entry: str) -> None:
        super().__init__()
        self.network, self.entry = network, entry

    def forward(self, rows: Tensor) -> Tensor:
        """Map images or ids to (B, d)."""
        network = self.network
        if self.entry == "image":
            return network.embed_image(rows)
        return network.embed_text(rows)
