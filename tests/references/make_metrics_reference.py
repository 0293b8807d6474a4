"""Write metrics.json: what scikit-survival and pycox say of fixed predictions.

    python make_metrics_reference.py sksurv   # where scikit-survival is installed
    python make_metrics_reference.py pycox    # where pycox is installed

The first writes the splits, the predictions of a fitted Cox model (log hazard ratios,
and the baseline cumulative hazard at the times) and scikit-survival's numbers; the
second adds pycox's for the same predictions. whas500 is read from scikit-survival;
times, events and the linear predictor of its rows are kept, so the tests do not need
it. gbsg2 is data/gbsg2.csv.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
FILE = HERE / "metrics.json"


def tables():
    import pandas as pd
    from sksurv.datasets import load_whas500

    frame = pd.read_csv(HERE / "data" / "gbsg2.csv")
    x = np.column_stack(
        [
            frame["horTh"] == "yes",
            frame["age"],
            frame["menostat"] == "Post",
            frame["tgrade"] == "II",
            frame["tgrade"] == "III",
            frame["tsize"],
            frame["pnodes"],
            frame["progrec"],
            frame["estrec"],
        ]
    ).astype(float)
    yield "gbsg2", x, frame["time"].to_numpy(float), frame["cens"].to_numpy(bool)
    x, y = load_whas500()
    yield "whas500", x.astype(float).to_numpy(), y["lenfol"].astype(float), y["fstat"]


def sksurv():
    from sksurv import metrics
    from sksurv.linear_model import CoxPHSurvivalAnalysis
    from sksurv.util import Surv

    found = {"versions": {"scikit-survival": version("scikit-survival")}}
    for name, x, time, event in tables():
        train = np.arange(len(time)) % 3 != 0
        y = Surv.from_arrays(event, time)
        model = CoxPHSurvivalAnalysis().fit(x[train], y[train])
        risk = model.predict(x)
        tau = float(np.percentile(time[event], 80))
        times = np.linspace(*np.percentile(time[event], [10, 80]), 12)
        own = np.percentile(
            time[~train & event], 50, method="lower"
        )  # one that is an event's own
        times = np.unique(np.r_[times, own])
        baseline = model.cum_baseline_hazard_(times)
        survival = np.exp(-np.exp(risk[~train])[:, None] * baseline)
        both = (y[train], y[~train])
        auc, mean_auc = metrics.cumulative_dynamic_auc(*both, risk[~train], times)
        found[name] = {
            "time": time.tolist(),
            "event": event.astype(int).tolist(),
            "risk": risk.tolist(),
            "tau": tau,
            "times": times.tolist(),
            "baseline": baseline.tolist(),
            "scikit-survival": {
                "harrell": metrics.concordance_index_censored(
                    event[~train], time[~train], risk[~train]
                )[0],
                "uno": metrics.concordance_index_ipcw(*both, risk[~train], tau)[0],
                "auc": auc.tolist(),
                "mean_auc": float(mean_auc),
                "brier": metrics.brier_score(*both, survival, times)[1].tolist(),
                "ibs": float(metrics.integrated_brier_score(*both, survival, times)),
            },
        }
    FILE.write_text(json.dumps(found) + "\n")


def pycox():
    import pandas as pd
    from pycox.evaluation import EvalSurv

    found = json.loads(FILE.read_text())
    found["versions"]["pycox"] = version("pycox")
    for name in ("gbsg2", "whas500"):
        table = found[name]
        test = np.arange(len(table["time"])) % 3 == 0
        time, event = np.array(table["time"])[test], np.array(table["event"])[test]
        risk, times = np.array(table["risk"])[test], np.array(table["times"])
        survival = np.exp(-np.outer(table["baseline"], np.exp(risk)))
        frame = pd.DataFrame(
            np.vstack([np.ones(len(risk)), survival]), index=np.r_[0.0, times]
        )
        judge = EvalSurv(frame, time, event, censor_surv="km")
        table["pycox"] = {
            "brier": judge.brier_score(times).tolist(),
            "nbll": judge.nbll(times).tolist(),
            "antolini": float(judge.concordance_td("antolini")),
        }
    FILE.write_text(json.dumps(found) + "\n")


def version(package):
    return importlib.metadata.version(package)


if __name__ == "__main__":
    {"sksurv": sksurv, "pycox": pycox}[sys.argv[1]]()
