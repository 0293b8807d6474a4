"""The estimator over systems that learn from one modality, without labels.

Letters: n rows, F features.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import TransformerMixin
from torch import nn

from semistruct._core.randomness import RandomState
from semistruct.engine import Training
from semistruct.exceptions import ParameterError
from semistruct.vlm._columns import Columns, as_table
from semistruct.vlm._estimator import SystemEstimator

__all__ = ["SelfSupervised"]


class SelfSupervised(TransformerMixin, SystemEstimator):
    """Learn an encoder of one column without labels.

    Parameters
    ----------
    system : str, default="simclr"
        ``"simclr"``, ``"byol"``, ``"swav"``, ``"dino"``, ``"mae"``, ``"data2vec"`` for
        images; ``"data2vec_text"`` for texts. See ``SYSTEMS``.
    column : str, default="image"
        The column that is read.
    config : object, optional
        The system's configuration, such as a `SimCLRConfig`; its defaults when not
        given.
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
        The trained system.
    encoder_ : torch.nn.Module
        Its tower, from standardised images (B, C, H, W), or ids (B, L), to (B, F); as
        an encoder of a term it stands in ``encoders={"scan": model.encoder_}``.
    history_ : DataFrame
        A row for each epoch.

    Notes
    -----
    Rows whose cell is null are left out of `fit`. An image term standardises by moments
    of its own rows; they should be of the same kind as those of this fit.

    Examples
    --------
    >>> import semistruct as ss
    >>> from semistruct.engine import Training
    >>> from semistruct.vlm import SelfSupervised
    >>> X, y = ss.datasets.make_survival_digits(64)
    >>> training = Training(max_epochs=1, validation_fraction=0.0)
    >>> model = SelfSupervised("mae", "scan", training=training, random_state=0)
    >>> model.fit(X).transform(X).shape
    (64, 1024)
    """

    def __init__(
        self,
        system: str = "simclr",
        column: str = "image",
        config: Any = None,
        size: Any = None,
        training: Training | None = None,
        random_state: RandomState = None,
        progress: bool = False,
    ) -> None:
        self.system = system
        self.column = column
        self.config = config
        self.size = size
        self.training = training
        self.random_state = random_state
        self.progress = progress

    def fit(self, X: Any, y: Any = None) -> SelfSupervised:
        """Train the system.

        Parameters
        ----------
        X : DataFrame of n rows, or Series
            Holds the column.
        y : object, optional
            Not used; there so that pipelines can pass it.

        Returns
        -------
        self
        """
        owner, kind = type(self).__name__, self._kind()
        if len(kind.reads) != 1:
            raise ParameterError(
                parameter="system",
                owner=owner,
                allowed="a system that reads one modality",
                given=self.system,
                hint="DualEncoder reads images and texts.",
            )
        table = as_table(X, self.column, owner)
        names = {kind.reads[0]: self.column}
        columns = Columns.fit(table, names, owner, size=self.size)
        self._train(self._complete(table, columns), columns, {})
        return self

    @property
    def encoder_(self) -> nn.Module:
        """The trained tower."""
        entry = self.system_.reads[0]
        return self.system_.visual if entry == "image" else self.system_.textual

    def transform(self, X: Any) -> np.ndarray:
        """Give the tower's features.

        Parameters
        ----------
        X : DataFrame of n rows, or Series

        Returns
        -------
        ndarray of shape (n, F)

        Raises
        ------
        DataError
            If a cell is null.
        """
        table = as_table(X, self.column, type(self).__name__)
        return self._embed(self.encoder_, table, self.system_.reads[0])
