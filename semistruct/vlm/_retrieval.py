"""What embeddings are good for: retrieval, zero-shot classes, a linear probe.

Letters: n rows, m rows of a gallery, d numbers of an embedding, F features, K classes,
P prompts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from semistruct._core.randomness import RandomState, generator
from semistruct._core.validation import check_number
from semistruct.exceptions import DataError, ParameterError

__all__ = ["check_prompts", "linear_probe", "nearest", "recall_at"]

_CHUNK = 1024  # rows whose similarities are held at once


def nearest(queries: np.ndarray, gallery: np.ndarray, k: int) -> np.ndarray:
    """Find the rows of a gallery with the largest inner products.

    Parameters
    ----------
    queries : ndarray of shape (n, d)
    gallery : ndarray of shape (m, d)
    k : int
        How many, in [1, m].

    Returns
    -------
    ndarray of int of shape (n, k)
        Positions, the most similar first; of equal ones the earlier first.

    Examples
    --------
    >>> import numpy as np
    >>> from semistruct.vlm import nearest
    >>> nearest(np.eye(2), np.array([[0.0, 1.0], [1.0, 0.0], [0.9, 0.1]]), 2).tolist()
    [[1, 2], [0, 2]]
    """
    check_number(
        k, parameter="k", owner="nearest", low=1, high=len(gallery), integer=True
    )
    found = np.empty((len(queries), k), dtype=np.int64)
    for i in range(0, len(queries), _CHUNK):
        scores = -(queries[i : i + _CHUNK] @ gallery.T)
        found[i : i + _CHUNK] = scores.argsort(axis=1, kind="stable")[:, :k]
    return found


def recall_at(
    queries: np.ndarray, gallery: np.ndarray, groups: Any, k: Sequence[int] = (1, 5, 10)
) -> dict[int, float]:
    """Share of queries that find a partner among their k nearest.

    Parameters
    ----------
    queries, gallery : ndarray of shape (n, d)
        Row i of one belongs to row i of the other.
    groups : array-like of shape (n,)
        Rows of the same group are partners too, such as those of the same caption.
    k : sequence of int, default=(1, 5, 10)
        Each in [1, n].

    Returns
    -------
    dict of int to float
        R@k for each k.

    Examples
    --------
    >>> import numpy as np
    >>> from semistruct.vlm import recall_at
    >>> recall_at(np.eye(3), np.eye(3)[[1, 0, 2]], groups=[0, 1, 2], k=(1, 3))
    {1: 0.3333333333333333, 3: 1.0}
    """
    codes = np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)
    code = codes[1]
    hits = code[nearest(queries, gallery, max(k))] == code[:, None]
    return {j: float(hits[:, :j].any(axis=1).mean()) for j in k}


def check_prompts(prompts: Sequence[str], owner: str) -> list[str]:
    """Check that each prompt has a place for the name of a class.

    Parameters
    ----------
    prompts : sequence of str
    owner : str
        Who is named in messages.

    Returns
    -------
    list of str
    """
    listed = [prompts] if isinstance(prompts, str) else list(prompts)
    odd = [p for p in listed if not isinstance(p, str) or "{}" not in p]
    if odd or not listed:
        raise ParameterError(
            parameter="prompts",
            owner=owner,
            allowed="texts with {} where the name of a class goes, at least one",
            given=odd[0] if odd else prompts,
        )
    return listed


def linear_probe(
    features: Any,
    y: Any,
    test_features: Any,
    y_test: Any,
    *,
    per_class: int | None = None,
    draws: int = 20,
    random_state: RandomState = 0,
) -> np.ndarray:
    """Accuracy of a logistic regression on features that stay as they are.

    Features are standardised by the mean and the spread of all training rows.

    Parameters
    ----------
    features : array-like of shape (n, F)
        Of the training rows.
    y : array-like of shape (n,)
        Their classes.
    test_features : array-like of shape (m, F)
        Of the rows that are predicted.
    y_test : array-like of shape (m,)
        Their classes.
    per_class : int, optional
        Labelled rows of each class that are drawn at random, at least 1; all rows when
        not given.
    draws : int, default=20
        How often they are drawn, at least 1; without ``per_class`` there is one fit.
    random_state : int, Generator, RandomState or None, default=0
        Where the randomness comes from.

    Returns
    -------
    ndarray of shape (draws,)
        Share of the test rows whose class is predicted.

    Examples
    --------
    >>> import numpy as np
    >>> from semistruct.vlm import linear_probe
    >>> x = np.repeat([[0.0, 1.0], [1.0, 0.0]], 5, axis=0)
    >>> linear_probe(x, [0] * 5 + [1] * 5, x, [0] * 5 + [1] * 5).tolist()
    [1.0]
    """
    from sklearn.linear_model import LogisticRegression  # imported only here

    owner = "linear_probe"
    check_number(draws, parameter="draws", owner=owner, low=1, integer=True)
    check_number(
        per_class, parameter="per_class", owner=owner, low=1, integer=True, none=True
    )
    train, test = (np.asarray(f, dtype=np.float64) for f in (features, test_features))
    labels, known = np.asarray(y_test), np.asarray(y)
    if not (np.isfinite(train).all() and np.isfinite(test).all()):
        raise DataError("linear_probe: a feature is NaN or infinite.")
    mean, spread = train.mean(axis=0), train.std(axis=0)
    spread[spread < 1e-9 * max(1.0, float(np.abs(train).max()))] = 1.0
    train, test = (train - mean) / spread, (test - mean) / spread
    kinds, count = np.unique(known, return_counts=True)
    if per_class is not None and count.min() < per_class:
        few = kinds[count.argmin()]
        raise DataError(
            f"linear_probe: class {few!r} has {count.min()} training rows, and "
            f"per_class={per_class} were asked for."
        )
    rng = generator(random_state)
    found = []
    for _ in range(1 if per_class is None else draws):
        rows: Any = slice(None)
        if per_class is not None:
            each = [np.flatnonzero(known == kind) for kind in kinds]
            rows = np.concatenate([rng.choice(e, per_class, False) for e in each])
        model = LogisticRegression(max_iter=1000).fit(train[rows], known[rows])
        found.append(float((model.predict(test) == labels).mean()))
    return np.array(found)
