"""Draws the two pictures of docs/orthogonalisation.md.

python docs/orthogonalisation_pictures.py
"""

from __future__ import annotations

import warnings
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

from semistruct.exceptions import InferenceWarning
from semistruct.families import get_family
from semistruct.fusion import apply_projection, fit_projection
from semistruct.inference import partially_linear
from semistruct.solvers import fit_cox, fit_glm

HERE = Path(__file__).parent / "pictures"
N = 4000
BLUE, RED, GREY = "#1f5a94", "#b3372f", "#6b6b6b"


def confounding() -> None:
    """Coefficient of x by how much of x the image knows."""
    rng = np.random.default_rng(0)
    shares = np.linspace(0.0, 0.95, 14)
    found: dict[str, list[float]] = {"total": [], "offset": [], "adjusted": []}
    error = []
    for share in shares:
        image, noise = rng.normal(size=(2, N))
        x = np.sqrt(share) * image + np.sqrt(1 - share) * noise
        y = 0.5 * x + image + rng.normal(size=N)
        columns = np.column_stack([np.ones(N), x])
        gaussian = get_family("gaussian")
        total = fit_glm([columns], y, gaussian)
        # a network that is trained on what the table leaves, added as it is
        left = y - total.linear_predictor[:, 0]
        d = image * (image @ left) / (image @ image)
        beside = fit_glm([columns], y, gaussian, offset=d)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InferenceWarning)
            fixed = partially_linear(x[:, None], y, image[:, None])
        found["total"].append(total.coef[1])
        found["offset"].append(beside.coef[1])
        found["adjusted"].append(fixed.coef[0])
        error.append(1.96 * np.sqrt(fixed.cov[0, 0]))
    figure, axes = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
    axes.axhline(0.5, color=GREY, linewidth=0.8, linestyle=":")
    kept = np.array(found["adjusted"])
    low, high = kept - error, kept + np.array(error)
    axes.fill_between(shares, low, high, color=BLUE, alpha=0.18, linewidth=0)
    axes.plot(shares, found["total"], color=RED, label="projection: the total effect")
    axes.plot(
        shares,
        found["offset"],
        color=GREY,
        linestyle="--",
        label="deep part as it is trained: neither",
    )
    axes.plot(shares, kept, color=BLUE, label="adjusted: at a fixed image (95 %)")
    axes.set_xlabel("share of the covariate's variance that the image knows")
    axes.set_ylabel("coefficient of the covariate")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(HERE / "orthogonalisation_confounding.png", dpi=130)


def collapsing() -> None:
    """Coefficient of x by the strength of an independent image."""
    rng = np.random.default_rng(1)
    strengths = np.linspace(0.0, 3.0, 11)
    bernoulli = get_family("bernoulli")
    found: dict[str, list[float]] = {k: [] for k in ("logit", "deep", "cox", "both")}
    for strength in strengths:
        x, image = rng.normal(size=(2, 4 * N))
        eta = x + strength * image
        columns = np.column_stack([np.ones(len(x)), x])
        y = (rng.logistic(size=len(x)) < eta).astype(float)
        alone = fit_glm([columns], y, bernoulli)
        weight = alone.working_weight[:, 0]
        deep = (strength * image)[:, None]
        a = fit_projection(columns, deep, weight)
        projected = apply_projection(deep, columns, a)[:, 0]
        found["logit"].append(alone.coef[1])
        found["deep"].append(fit_glm([columns], y, bernoulli, offset=projected).coef[1])
        time = rng.exponential(np.exp(-eta))
        limit = rng.exponential(2.0, len(x))
        last, event = np.minimum(time, limit), time <= limit
        hazard = fit_cox(x[:, None], last, event)
        weight = hazard.working_weight[:, 0]
        a = fit_projection(columns, deep, weight)
        projected = apply_projection(deep, columns, a)[:, 0]
        found["cox"].append(hazard.coef[0])
        fit = fit_cox(x[:, None], last, event, offset=projected)
        found["both"].append(fit.coef[0])
    figure, axes = plt.subplots(
        1, 2, figsize=(7.6, 3.5), sharey=True, layout="constrained"
    )
    for ax, title, without, beside in (
        (axes[0], "log odds ratio", "logit", "deep"),
        (axes[1], "log hazard ratio", "cox", "both"),
    ):
        ax.axhline(1.0, color=GREY, linewidth=0.8, linestyle=":")
        ax.plot(strengths, found[without], color=RED, label="table alone")
        ax.plot(
            strengths, found[beside], color=BLUE, label="beside the projected image"
        )
        ax.set_title(title, fontsize=10)
        ax.set_xlabel("standard deviation of the image's effect")
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("coefficient (at a fixed image: 1)")
    axes[0].set_ylim(0, 1.15)
    axes[0].legend(frameon=False, loc="lower left")
    figure.savefig(HERE / "orthogonalisation_collapsing.png", dpi=130)
    print({k: np.round(v, 2).tolist() for k, v in found.items()})  # noqa: T201


if __name__ == "__main__":
    confounding()
    collapsing()
