"""Write discrete_time.json: what pycox says of fixed targets and linear predictors.

    python make_discrete_time.py      # where pycox is installed

pycox counts the intervals of a censored row from the last one survived (its index is
ours less 1), has no index for a row that has survived none, and adds 1e-7 inside of its
logarithms; ``epsilon=0`` takes that away where it is an argument. Its ranking loss
makes a tensor of the default type, so that is float64 here.
"""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path

import numpy as np
import torch
from pycox.models import loss
from pycox.models.data import pair_rank_mat
from pycox.preprocessing.discretization import cuts_quantiles
from pycox.preprocessing.label_transforms import LabTransDiscreteTime

FILE = Path(__file__).with_name("discrete_time.json")
N, J, C, SIGMA = 14, 5, 2, 0.15


def targets(rng):
    """Codes 0 … C and pycox's indices 0 … J − 1, with ties."""
    codes = rng.integers(0, C + 1, N)
    return codes, rng.integers(0, J, N)


def main():
    torch.set_default_dtype(torch.float64)
    rng = np.random.default_rng(7)
    codes, index = targets(rng)
    phi, several = rng.normal(size=(N, J)) * 1.5, rng.normal(size=(N, C, J))
    single = (codes > 0).astype(float)
    eta, at, event = torch.tensor(phi), torch.tensor(index), torch.tensor(single)
    both, code = torch.tensor(several), torch.tensor(codes)
    rank = torch.tensor(pair_rank_mat(index, single, "float64"))
    time = np.round(rng.exponential(4.0, 60), 1) + 0.1
    seen = (rng.uniform(size=60) < 0.6).astype(float)
    cuts = np.array([0.0, 1.0, 2.5, 4.0, 6.5])
    labels, flags = LabTransDiscreteTime(cuts).transform(time, seen)
    found = {
        "versions": {"pycox": importlib.metadata.version("pycox")},
        "phi": phi.tolist(),
        "phi_causes": several.tolist(),
        "index": index.tolist(),
        "code": codes.tolist(),
        "sigma": SIGMA,
        "logistic_hazard": loss.nll_logistic_hazard(eta, at, event, "none").tolist(),
        "pmf": loss.nll_pmf(eta, at, event, "none", epsilon=0.0).tolist(),
        "mtlr": loss.nll_mtlr(eta, at, event, "none", epsilon=0.0).tolist(),
        "pmf_causes": loss.nll_pmf_cr(both, at, code, "none").tolist(),
        "pairs": rank.sum().item(),
        "ranking": loss.rank_loss_deephit_single(eta, at, event, rank, SIGMA).item(),
        "ranking_causes": loss.rank_loss_deephit_cr(both, at, code, rank, SIGMA).item(),
        "grid": {
            "time": time.tolist(),
            "event": seen.tolist(),
            "cuts": cuts[1:].tolist(),
            "index": labels.tolist(),
            "flag": flags.tolist(),
            "quantiles": cuts_quantiles(time, seen, 6).tolist(),
        },
    }
    FILE.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
