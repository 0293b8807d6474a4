"""Estimators to states and back: JSON types and arrays, never code."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator

from semistruct._core.persistence import read_state
from semistruct._core.terms import Term, term_from_state, term_to_state
from semistruct.design import StructuredDesign
from semistruct.encoders import (
    Encoder,
    encoder_from_state,
    encoder_to_state,
)
from semistruct.engine import Training
from semistruct.exceptions import PersistenceError
from semistruct.families import Family, get_family
from semistruct.metrics import CensoringDistribution
from semistruct.networks import SemiStructuredNetwork
from semistruct.solvers import ExactFit

from ._additive import AdditivePredictor, DeepPart, Predictor
from ._branches import encoder_from, encoder_state, without_weights
from ._curves import curves_from_state
from ._discrete import Discrete
from ._features import Features
from ._fine_gray import FineGray
from ._fitting import build_network
from ._inference import Bootstrap, CrossFit, InferenceReport
from ._missing import MissingIndicator
from ._modalities import modality_from_state
from ._pamm import PAMM
from ._survival_model import SurvivalModel

__all__ = ["estimator_to_state", "load", "register"]

_HEADS: dict[str, Any] = {
    "Discrete": Discrete,
    "FineGray": FineGray,
    "PAMM": PAMM,
}

_ESTIMATORS: dict[str, type] = {}


def register(cls: type) -> type:
    """Let `load` make estimators of this class."""
    _ESTIMATORS[cls.__name__] = cls
    return cls


def load(
    folder: str | os.PathLike[str], encoders: Mapping[str, Any] | None = None
) -> Any:
    """Load a model that ``model.save(folder)`` saved; nothing in it is executed.

    Parameters
    ----------
    folder : path-like
        The folder.
    encoders : dict of str to torch.nn.Module or Encoder, optional
        For deep terms whose encoder is the user's own: one of the same architecture. It
        is copied and the stored weights are filled in.

    Returns
    -------
    estimator
        As it was when saved, but for the training data.

    Raises
    ------
    PersistenceError
        If the folder is no saved model, is of a newer format, or holds something that
        this version does not know.

    Examples
    --------
    >>> import tempfile, semistruct as ss
    >>> X, y = ss.datasets.load_rossi()
    >>> model = ss.SemiStructuredSurvival("age + prio").fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.save(f"{folder}/model")
    ...     again = ss.load(f"{folder}/model")
    >>> bool((again.predict(X) == model.predict(X)).all())
    True
    """
    state = read_state(folder)
    cls = _ESTIMATORS.get(str(state.get("class")))
    if cls is None:
        raise PersistenceError(
            f"{os.fspath(folder)} holds a {state.get('class')!r}; known are "
            f"{', '.join(sorted(_ESTIMATORS))}. It may come from a newer version."
        )
    try:
        return _from_state(cls, state, dict(encoders or {}))
    except PersistenceError:
        raise
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise PersistenceError(
            f"{os.fspath(folder)} does not hold what a {cls.__name__} needs: {error!r}."
        ) from error


def estimator_to_state(estimator: Any) -> dict[str, Any]:
    """Give all that prediction and summary need of a fitted estimator."""
    params = estimator.get_params(deep=False)
    predictor: AdditivePredictor = estimator.predictor_
    unique = list({id(d): d for d in predictor.designs}.values())

    def at(design: StructuredDesign) -> int:
        return next(i for i, other in enumerate(unique) if other is design)

    state: dict[str, Any] = {
        "class": type(estimator).__name__,
        "params": {k: _param_to_state(v) for k, v in params.items()},
        "terms": _terms_to_state(estimator.terms_),
        "designs": [d.to_state() for d in unique],
        "predictors": [
            {"name": p.name, "design": at(p.design), "coef": p.coef}
            for p in predictor.predictors
        ],
        "features": estimator.features_.to_state(),
        "parts": {name: _part_to_state(p) for name, p in predictor.parts.items()},
        "provided": dict(predictor.provided),
        "on_unreadable": predictor.on_unreadable,
        "exact": {f.name: _plain(getattr(estimator.exact_, f.name)) for f in _FIT},
        "n_features_in": int(estimator.n_features_in_),
        "n_rows": int(estimator.n_rows_),
        "shares": dict(estimator.deep_share_),
        "inference": asdict(estimator.inference_),
        "profile": estimator.profile_,
        "deviances": estimator.deviances_,
        "target_digest": estimator.target_digest_,
        "history": estimator.history_.to_dict("list"),
    }
    if predictor.network is not None:
        weights = predictor.network.state_dict()
        state["network"] = {name: tensor.cpu() for name, tensor in weights.items()}
    if hasattr(estimator, "missing_"):
        state["missing"] = estimator.missing_.to_state()
    if hasattr(estimator, "feature_names_in_"):
        state["feature_names_in"] = [str(c) for c in estimator.feature_names_in_]
    if hasattr(estimator, "family_"):
        state["family"] = estimator.family_.to_state()
    if hasattr(estimator, "classes_"):
        state["classes"] = _labels_to_state(estimator.classes_)
    if hasattr(estimator, "curves_"):
        state["survival"] = {
            "curves": estimator.curves_.to_state(),
            "n_events": estimator.n_events_,
            "likelihood_digest": estimator.likelihood_digest_,
            "censoring": estimator.censoring_.to_state(),
        }
    return state


_FIT = fields(ExactFit)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [[v.start, v.stop] if isinstance(v, slice) else v for v in value]
    return value


def _param_to_state(value: Any) -> Any:
    if isinstance(value, Term):
        return {"$term": term_to_state(value)}
    if isinstance(value, list | tuple):
        return [_param_to_state(v) for v in value]
    if isinstance(value, Training):
        return {"$training": value.to_state()}
    if isinstance(value, Family):
        return {"$family": value.to_state()}
    if isinstance(value, Encoder):
        return {"$encoder": encoder_to_state(value)}
    if isinstance(value, Bootstrap | CrossFit):
        options = value.get_params(deep=False)
        return {"$inference": [type(value).__name__, _param_to_state(options)]}
    if isinstance(value, SurvivalModel):
        options = value.get_params(deep=False)
        return {"$head": [type(value).__name__, _param_to_state(options)]}
    if isinstance(value, pd.Series | pd.Index):
        return value.to_numpy()
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, Mapping):
        return {str(k): _param_to_state(v) for k, v in value.items()}
    if value is None or isinstance(value, bool | int | float | str | np.generic):
        return value
    return {"$dropped": type(value).__name__}  # a module or a random state


def _param_from_state(value: Any) -> Any:
    if isinstance(value, list):
        return [_param_from_state(v) for v in value]
    if not isinstance(value, dict):
        return value
    if "$term" in value:
        return term_from_state(value["$term"])
    if "$training" in value:
        return Training.from_state(value["$training"])
    if "$family" in value:
        return get_family(**value["$family"])
    if "$encoder" in value:
        return _encoder_of(value["$encoder"])
    if "$inference" in value:
        name, options = value["$inference"]
        kept = _param_from_state(options)
        return {"Bootstrap": Bootstrap, "CrossFit": CrossFit}[name](**kept)
    if "$head" in value:
        name, options = value["$head"]
        return _HEADS[name](**_param_from_state(options))
    if "$dropped" in value:
        return None
    restored = {k: _param_from_state(v) for k, v in value.items()}
    return {k: v for k, v in restored.items() if v is not None}


def _encoder_of(state: Any) -> Any:
    return None if state is None else encoder_from_state(state)


def _part_to_state(part: DeepPart) -> dict[str, Any]:
    return {
        "term": term_to_state(part.term),
        "modality": part.modality.to_state(),
        "encoder": encoder_state(part.encoder),
        "targets": list(part.targets),
        "weight": part.weight,
        "projections": list(part.projections),
        "shifts": list(part.shifts),
    }


def _part_from_state(state: dict[str, Any], given: dict[str, Any]) -> DeepPart:
    term: Any = term_from_state(state["term"])
    encoder = encoder_from(state["encoder"], term, given)
    modality = modality_from_state(state["modality"])
    return DeepPart(
        term,
        modality,
        encoder,
        targets=tuple(state["targets"]),
        weight=state["weight"],
        projections=tuple(state["projections"]),
        shifts=tuple(state["shifts"]),
    )


def _terms_to_state(terms: Any) -> Any:
    if isinstance(terms, dict):
        return {name: _terms_to_state(value) for name, value in terms.items()}
    return [term_to_state(term) for term in terms]


def _terms_from_state(state: Any) -> Any:
    if isinstance(state, dict):
        return {name: _terms_from_state(value) for name, value in state.items()}
    return tuple(term_from_state(term) for term in state)


def _labels_to_state(labels: np.ndarray) -> dict[str, Any]:
    kind = labels.dtype.kind
    if kind in "biuf":
        return {"array": labels}
    return {"strings": [str(x) for x in labels], "object": kind == "O"}


def _labels_from_state(state: dict[str, Any]) -> np.ndarray:
    if "array" in state:
        return state["array"]
    return np.asarray(state["strings"], dtype=object if state["object"] else str)


def _from_state(cls: type, state: dict[str, Any], given: dict[str, Any]) -> Any:
    params = {k: _param_from_state(v) for k, v in state["params"].items()}
    estimator: BaseEstimator = cls(**params)
    if given:  # so that fitting again uses them too
        estimator.encoders = {**(params["encoders"] or {}), **given}
    parts = {n: _part_from_state(p, given) for n, p in state["parts"].items()}
    designs = [StructuredDesign.from_state(d) for d in state["designs"]]
    predictors = [
        Predictor(p["name"], designs[p["design"]], p["coef"])
        for p in state["predictors"]
    ]
    network = _network(parts, state["network"], len(predictors)) if parts else None
    exact = dict(state["exact"])
    exact["slices"] = tuple(slice(*s) for s in exact["slices"])
    exact["diverging"] = tuple(exact["diverging"])
    exact["shape_names"] = tuple(exact["shape_names"])
    exact["active"] = tuple(exact["active"])
    learned: dict[str, Any] = {
        "predictor_": AdditivePredictor(
            predictors,
            parts,
            network,
            provided=state["provided"],
            on_unreadable=state["on_unreadable"],
        ),
        "features_": Features.from_state(state["features"], given),
        "terms_": _terms_from_state(state["terms"]),
        "exact_": ExactFit(**exact),
        "n_features_in_": state["n_features_in"],
        "n_rows_": state["n_rows"],
        "deep_share_": state["shares"],
        "inference_": InferenceReport(**state["inference"]),
        "profile_": state["profile"],
        "deviances_": state["deviances"],
        "target_digest_": state["target_digest"],
        "history_": pd.DataFrame(state["history"]),
    }
    if "feature_names_in" in state:
        names = np.asarray(state["feature_names_in"], dtype=object)
        learned["feature_names_in_"] = names
    if "missing" in state:
        learned["missing_"] = MissingIndicator.from_state(state["missing"])
    if "family" in state:
        learned["family_"] = get_family(**state["family"])
    if "classes" in state:
        learned["classes_"] = _labels_from_state(state["classes"])
    if "survival" in state:
        survival = state["survival"]
        learned["curves_"] = curves_from_state(survival["curves"])
        learned["n_events_"] = survival["n_events"]
        learned["likelihood_digest_"] = survival["likelihood_digest"]
        censoring = CensoringDistribution.from_state(survival["censoring"])
        learned["censoring_"] = censoring
    for name, value in learned.items():
        setattr(estimator, name, value)
    return estimator


def _network(
    parts: dict[str, DeepPart], weights: dict[str, Any], n_predictors: int
) -> SemiStructuredNetwork:
    network = build_network(
        {
            name: (part.term, without_weights(part.encoder), part.modality)
            for name, part in parts.items()
        },
        n_predictors,
        targets={name: part.targets for name, part in parts.items()},
        scale=[1.0] * n_predictors,
    )
    try:
        tensors = {name: torch.as_tensor(w) for name, w in weights.items()}
        network.load_state_dict(tensors)
    except (RuntimeError, TypeError, ValueError) as error:
        raise PersistenceError(f"The stored weights do not fit: {error}") from error
    return network.eval()
