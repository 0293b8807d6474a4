"""The reader of one text column: fitted once, it reads any rows in the same manner.

Letters: n rows, m of them, L tokens of a row as it is read.
"""

from __future__ import annotations

import warnings
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch

from semistruct._core.validation import check_bool, check_number
from semistruct.data._tokenizers import (
    LONGEST,
    MARK,
    encoded,
    given_tokenizer,
    import_tokenizers,
    train_tokenizer,
)
from semistruct.exceptions import DataError, shown

__all__ = ["TextColumn"]

_QUANTILE = 0.95  # of the training rows that are read whole
_STATE = (
    *("owner", "column", "tokenizer", "length", "pad_id", "unk_id", "vocabulary"),
    "truncated",
)


class TextColumn:
    """Reader of one text column; made by `TextColumn.fit`.

    A cell is a string or null (None, NaN, ``pandas.NA``). A null cell is masked. An
    empty string is there, and has no word: its tokens are ``[CLS]`` alone.

    The tokenizer is learned from the training rows by byte pair encoding on words and
    punctuation: Unicode NFKC, white space counted as one blank, ``▁`` before each word.
    The same rows give the same tokenizer. ``[CLS]`` comes first; texts that are shorter
    than L tokens are filled up with ``[PAD]`` (id 0) at the end, of longer ones the end
    is cut off. What cannot be written in the vocabulary is ``[UNK]``.

    Attributes
    ----------
    owner : str
        Term that reads the column, for messages.
    column : str
        Name of the column.
    tokenizer : str
        The tokenizer, in the JSON of the ``tokenizers`` library.
    length : int
        L, ``[CLS]`` included.
    pad_id : int
        Id of padding.
    unk_id : int or None
        Id of what is unknown; None where nothing can be.
    vocabulary : int
        Number of ids.
    truncated : float
        Share of the training rows whose end was cut off.

    Notes
    -----
    Sennrich, Haddow & Birch (2016), doi:10.18653/v1/P16-1162.

    Examples
    --------
    >>> import pandas as pd
    >>> from semistruct.data import TextColumn
    >>> notes = pd.Series(["no pain", "pain at night", None, ""], name="note")
    >>> reader = TextColumn.fit(notes, owner="text(note)")
    >>> ids, mask = reader.read(notes)
    >>> mask.tolist(), ids[3].unique().tolist()  # [CLS], and [PAD] after it
    ([True, True, False, True], [0, 2])
    """

    def __init__(
        self,
        *,
        owner: str,
        column: str,
        tokenizer: str,
        length: int,
        pad_id: int,
        unk_id: int | None,
        vocabulary: int,
        truncated: float,
    ) -> None:
        self.owner = owner
        self.column = column
        self.tokenizer = tokenizer
        self.length = int(length)
        self.pad_id = int(pad_id)
        self.unk_id = unk_id
        self.vocabulary = int(vocabulary)
        self.truncated = float(truncated)

    @classmethod
    def fit(
        cls,
        series: pd.Series,
        *,
        owner: str,
        vocabulary: int = 8000,
        lower: bool = True,
        max_length: int | None = None,
        tokenizer: Any = None,
    ) -> TextColumn:
        """Learn the tokenizer and the number of tokens from the training rows.

        Parameters
        ----------
        series : Series of length n
            The column; its name and index are used in messages.
        owner : str
            Term that reads the column, as ``"text(note)"``.
        vocabulary : int, default=8000
            Number of ids, at most; at least 16. More where the training rows hold more
            characters: each of them has an id.
        lower : bool, default=True
            Whether capital letters count as small ones.
        max_length : int, optional
            L at most, at least 2. Default: the 95 % quantile of the training rows'
            numbers of tokens, and at most 512.
        tokenizer : tokenizers.Tokenizer or fast tokenizer of transformers, optional
            One that is there already, as that of a pretrained encoder; ``vocabulary``
            and ``lower`` then have no effect.

        Returns
        -------
        TextColumn

        Raises
        ------
        DataError
            If a cell is no string, or there is no text at all.
        DependencyError
            If the package ``tokenizers`` is not installed.
        """
        check_number(
            vocabulary, parameter="vocabulary", owner=owner, low=16, integer=True
        )
        check_bool(lower, parameter="lower", owner=owner)
        check_number(
            max_length,
            parameter="max_length",
            owner=owner,
            low=2,
            integer=True,
            none=True,
        )
        column = str(series.name)
        cells, mask = _cells_of(series, owner)
        texts = cells[mask].tolist()
        if not any(text.strip() for text in texts):
            raise DataError(
                f"{owner}: column {column!r} has no text: each of its {len(mask)} "
                "cells is null or empty. Leave the term out, or give texts."
            )
        library = import_tokenizers(owner)
        if tokenizer is None:
            backend = train_tokenizer(library, texts, vocabulary, lower)
            pad_id, limit = 0, LONGEST
        else:
            backend, pad_id, limit = given_tokenizer(library, tokenizer, owner)
        backend.no_truncation()
        backend.no_padding()
        counts = np.concatenate(
            [[len(e) for e in part] for part in encoded(backend, texts)]
        )
        usual = int(np.ceil(np.quantile(counts, _QUANTILE)))
        length = max(2, min(limit, usual if max_length is None else max_length))
        unknown = getattr(backend.model, "unk_token", None)
        return cls(
            owner=owner,
            column=column,
            tokenizer=backend.to_str(),
            length=length,
            pad_id=pad_id,
            unk_id=None if unknown is None else backend.token_to_id(unknown),
            vocabulary=backend.get_vocab_size(with_added_tokens=True),
            truncated=float(np.mean(counts > length)),
        )

    @property
    def shape(self) -> tuple[int]:
        """Shape (L,) of one row as it is read."""
        return (self.length,)

    @property
    def facts(self) -> dict[str, Any]:
        """What an encoder may need to know beside the shape."""
        return {"vocabulary": self.vocabulary, "pad_id": self.pad_id}

    def __repr__(self) -> str:
        return (
            f"TextColumn({self.column!r}, vocabulary={self.vocabulary}, "
            f"length={self.length})"
        )

    def read(
        self, series: pd.Series, rows: Any = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Give the ids of rows.

        Parameters
        ----------
        series : Series of length n
            The column, of the training or of other rows.
        rows : array-like of int of shape (m,), optional
            Positions (not labels) of the rows. Default: all.

        Returns
        -------
        ids : Tensor of shape (m, L), int64
            Padding only where the cell is null.
        mask : Tensor of bool of shape (m,)
            True where there is a text.

        Raises
        ------
        DataError
            If a cell is no string.

        Warns
        -----
        UserWarning
            If there are texts of which no token is known.
        """
        if rows is not None:
            series = series.iloc[np.asarray(rows, np.intp)]
        cells, mask = _cells_of(series, self.owner)
        ids = np.full((len(mask), self.length), self.pad_id, dtype=np.int64)
        if mask.any():
            parts = encoded(self._backend, cells[mask].tolist())
            ids[mask] = np.concatenate([[e.ids for e in part] for part in parts])
            self._warn_unknown(ids, series.index)
        return torch.from_numpy(ids), torch.from_numpy(mask)

    @cached_property
    def _backend(self) -> Any:
        backend = import_tokenizers(self.owner).Tokenizer.from_str(self.tokenizer)
        backend.encode_special_tokens = True  # "[PAD]" in a text is text
        backend.enable_truncation(self.length)
        backend.enable_padding(length=self.length, pad_id=self.pad_id)
        return backend

    @cached_property
    def _silent_ids(self) -> np.ndarray:
        """Ids that say nothing: special tokens, what is unknown, the mark of a word."""
        added = self._backend.get_added_tokens_decoder().items()
        special = [i for i, token in added if token.special]
        mark = self._backend.token_to_id(MARK)
        others = [i for i in (self.unk_id, mark) if i is not None]
        return np.array([*special, self.pad_id, *others])

    def _warn_unknown(self, ids: np.ndarray, labels: Any) -> None:
        if self.unk_id is None:
            return
        silent = np.isin(ids, self._silent_ids).all(axis=1)
        # a cut text may keep the mark of a word and lose the word
        words = [self.unk_id, self._backend.token_to_id(MARK)]
        words = [i for i in words if i is not None]
        unknown = np.flatnonzero(silent & np.isin(ids, words).any(axis=1))
        if len(unknown):
            count = f"{len(unknown)} row{'' if len(unknown) == 1 else 's'}"
            warnings.warn(
                f"{self.owner}: no token of the column {self.column!r} is known in "
                f"{count}, the first of them row {shown(labels[int(unknown[0])])}: the "
                "texts at fit had none of their characters. What the term predicts "
                "there rests on nothing.",
                stacklevel=3,
            )

    def to_state(self) -> dict[str, Any]:
        """Give all that was learned, as JSON types."""
        return {name: getattr(self, name) for name in _STATE}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> TextColumn:
        """Make the reader from what `to_state` gave."""
        return cls(**state)


def _cells_of(series: pd.Series, owner: str) -> tuple[np.ndarray, np.ndarray]:
    """Give the cells (n,) and the mask (n,) of those present; each a string."""
    cells = series.astype(object).to_numpy()
    mask = ~series.isna().to_numpy()
    for i in np.flatnonzero(mask):
        if not _is_text(cells[i]):
            kind = type(cells[i]).__name__
            text, label = shown(cells[i]), shown(series.index[int(i)])
            raise DataError(
                f"{owner}: column {str(series.name)!r}, row {label}: "
                f"a cell is a text or null, and this one is a {kind} "
                f"({text if len(text) <= 60 else text[:60] + '…'}). Convert it, or "
                "leave it null."
            )
    return cells, mask


def _is_text(cell: Any) -> bool:
    """Whether a cell is a string that can be written in UTF-8."""
    if not isinstance(cell, str):
        return False
    try:
        cell.encode()
    except UnicodeEncodeError:
        return False
    return True
