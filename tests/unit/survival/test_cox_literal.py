"""Residuals, tests and curves of a Cox model against loops over times and rows."""

import numpy as np
import pytest

from semistruct.exceptions import DataError
from semistruct.inference import (
    CoxBaseline,
    CoxRows,
    cox_ph_test,
    cox_sandwich,
    cox_survival_band,
    deviance_residuals,
    dfbeta,
    dfbetas,
    martingale_residuals,
    scaled_schoenfeld_residuals,
    schoenfeld_residuals,
    score_residuals,
)
from semistruct.solvers import fit_cox

both_ties = pytest.mark.parametrize("ties", ["efron", "breslow"])
every_seed = pytest.mark.parametrize("seed", range(4))


def simulate(seed, n=60, ties=True):
    """Rows with late entry, strata, case weights and tied times."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    x[:, 2] = rng.integers(0, 2, n)
    eta = x @ [0.5, -0.4, 0.3]
    time = rng.exponential(np.exp(-eta)) + 0.3
    if ties:
        time = np.ceil(5 * time)
    entry = np.where(rng.random(n) < 0.5, 0.0, rng.uniform(0, 0.9, n) * time)
    if ties:
        entry = np.minimum(np.floor(5 * entry), time - 1)
    return {
        "x": x,
        "eta": eta,
        "time": time,
        "event": rng.random(n) < 0.7,
        "entry": entry,
        "strata": np.array(["a", "b"])[rng.integers(0, 2, n)],
        "weight": rng.choice([0.5, 1.0, 2.0], n),
    }


def steps(data, ties):
    """Yield (time, stratum, ω, risks of all rows, deaths, d) of each pseudo-step."""
    risk = data["weight"] * np.exp(data["eta"])
    for stratum in np.unique(data["strata"]):
        inside = data["strata"] == stratum
        for t in np.unique(data["time"][inside & data["event"]]):
            at_risk = inside & (data["entry"] < t) & (data["time"] >= t)
            dead = at_risk & data["event"] & (data["time"] == t)
            d = int(dead.sum()) if ties == "efron" else 1
            for k in range(d):
                share = np.where(dead, 1 - k / d, 1.0) if ties == "efron" else 1.0
                omega = data["weight"][dead].sum() / d
                yield t, stratum, omega, risk * at_risk * share, dead, d


def residuals(data, ties):
    """Martingale, score and (by row) Schoenfeld residuals."""
    x, n = data["x"], len(data["time"])
    martingale = data["event"].astype(float)
    score, schoenfeld = np.zeros_like(x), np.full_like(x, np.nan)
    schoenfeld[data["event"]] = 0.0
    for _, _, omega, risk, dead, d in steps(data, ties):
        total = risk.sum()
        mean = risk @ x / total
        for i in range(n):
            hazard = omega / total * risk[i] / data["weight"][i]
            martingale[i] -= hazard
            score[i] -= hazard * (x[i] - mean)
            if dead[i]:
                score[i] += (x[i] - mean) / d
                schoenfeld[i] += (x[i] - mean) / d
    return martingale, score, schoenfeld


def time_varying(data, ties, g):
    """Score of θ and the information of (β, θ) for columns (x, x g(t))."""
    p = data["x"].shape[1]
    score, information = np.zeros(2 * p), np.zeros((2 * p, 2 * p))
    for t, _, omega, risk, dead, d in steps(data, ties):
        z = np.hstack([data["x"], data["x"] * g(t)])
        share = risk / risk.sum()
        mean = share @ z
        information += omega * ((z - mean).T * share) @ (z - mean)
        weight = data["weight"] * dead / d
        score += weight @ (z - mean)
    return score[p:], information


def curve(data, ties, x, eta, cov, stratum, t):
    """Cumulative hazard of a row and its standard error."""
    hazard, variance, drift = 0.0, 0.0, np.zeros(len(x))
    for u, label, omega, risk, _, _ in steps(data, ties):
        if u <= t and label == stratum:
            total = risk.sum()
            hazard += omega / total
            variance += omega / total**2
            drift += omega / total * (x - risk @ data["x"] / total)
    ratio = np.exp(eta)
    return ratio * hazard, ratio * np.sqrt(variance + drift @ cov @ drift)


def rows_of(data, ties="efron", **changes):
    data = {**data, **changes}
    return CoxRows(
        data["x"],
        data["eta"],
        data["time"],
        data["event"],
        entry=data["entry"],
        strata=data["strata"],
        sample_weight=data["weight"],
        ties=ties,
    )


def close(ours, theirs, tolerance=1e-10):
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


# -- residuals ----------------------------------------------------------------------


@both_ties
@every_seed
def test_residuals(ties, seed):
    data = simulate(seed, ties=seed != 3)
    rows = rows_of(data, ties)
    martingale, score, schoenfeld = residuals(data, ties)
    close(martingale_residuals(rows), martingale)
    close(score_residuals(rows), score)
    found = schoenfeld_residuals(rows)
    assert sorted(found.rows) == list(np.flatnonzero(data["event"]))
    close(found.values, schoenfeld[found.rows])
    assert found.time.tolist() == data["time"][found.rows].tolist()
    assert np.array_equal(
        np.lexsort((found.time, data["strata"][found.rows])), np.arange(len(found.rows))
    )


def test_deviance_is_the_saturated_likelihood_ratio():
    data = simulate(0)
    rows = rows_of(data)
    martingale = martingale_residuals(rows)
    expected = data["event"] - martingale
    died = data["event"]
    # Poisson deviance of event counts, −2 (log f(δ | γ) − log f(δ | δ))
    deviance = 2 * (expected - died)
    deviance[died] -= 2 * np.log(expected[died])
    found = deviance_residuals(rows)
    close(found**2, deviance)
    assert (np.sign(found) == np.sign(martingale)).all()


@both_ties
def test_sums_vanish_at_the_maximum(ties):
    data = simulate(1)
    options = {k: data[k] for k in ("entry", "strata")}
    fit = fit_cox(
        data["x"],
        data["time"],
        data["event"],
        ties=ties,
        sample_weight=data["weight"],
        **options,
    )
    rows = rows_of(data, ties, eta=fit.linear_predictor)
    close(data["weight"] @ score_residuals(rows), 0, 1e-7)
    close(rows.information(), np.linalg.inv(fit.cov), 1e-7)
    change = dfbeta(rows, fit.cov)
    close(dfbetas(rows, fit.cov), change / np.sqrt(np.diag(fit.cov)))
    close(cox_sandwich(rows, fit.cov), change.T @ change)
    cluster = np.arange(len(change)) % 7
    sums = np.array([change[cluster == g].sum(axis=0) for g in range(7)])
    close(cox_sandwich(rows, fit.cov, cluster), sums.T @ sums)


def test_dfbeta_is_the_change_without_a_row():
    data = simulate(2, n=150)
    keys = ("x", "time", "event", "entry", "strata", "weight")

    def coef(keep):
        x, time, event, entry, strata, weight = (data[k][keep] for k in keys)
        return fit_cox(x, time, event, entry=entry, strata=strata, sample_weight=weight)

    everyone = np.ones(150, bool)
    fit = coef(everyone)
    found = dfbeta(rows_of(data, eta=fit.linear_predictor), fit.cov)
    for row in range(0, 150, 15):
        keep = everyone.copy()
        keep[row] = False
        close(found[row], fit.coef - coef(keep).coef, 0.01)
    size = np.sqrt(np.diag(fit.cov))
    assert np.abs(found / size).max() > 0.1


def test_scaled_schoenfeld_average_to_the_coefficients():
    data = simulate(0)
    data["weight"][:] = 1.0
    fit = fit_cox(
        data["x"],
        data["time"],
        data["event"],
        entry=data["entry"],
        strata=data["strata"],
    )
    rows = rows_of(data, eta=fit.linear_predictor)
    found = scaled_schoenfeld_residuals(rows, fit.coef, fit.cov).values
    close(found.mean(axis=0), fit.coef, 1e-7)
    with pytest.raises(DataError, match="coef has shape"):
        scaled_schoenfeld_residuals(rows, [1.0], fit.cov)


@both_ties
def test_invariance(ties):
    data = simulate(3)
    order = np.random.default_rng(0).permutation(60)
    plain = rows_of(data, ties)
    mixed = rows_of({k: v[order] for k, v in data.items()}, ties)
    moved = rows_of(
        data,
        ties,
        x=data["x"] + 1e3,
        eta=data["eta"] + 900.0,
        time=data["time"] + 100,
        entry=data["entry"] + 100,
    )
    score = score_residuals(plain)
    close(score_residuals(mixed), score[order])
    close(score_residuals(moved), score, 1e-9)
    close(martingale_residuals(moved), martingale_residuals(plain), 1e-9)


def test_rows_of_weight_zero_are_not_in_the_model():
    data = simulate(1)
    out = np.arange(60) % 4 == 0
    weight = np.where(out, 0.0, data["weight"])
    rows = rows_of(data, weight=weight)
    kept = rows_of({k: v[~out] for k, v in data.items()})
    cov = np.diag([1.0, 2.0, 3.0])
    for residual in (martingale_residuals, deviance_residuals, score_residuals):
        found = residual(rows)
        assert np.isnan(found[out]).all()
        close(found[~out], residual(kept))
    assert (dfbeta(rows, cov)[out] == 0).all()
    close(cox_sandwich(rows, cov), cox_sandwich(kept, cov))
    for transform in ("km", "rank"):
        terms = {"x": [0, 1, 2]}
        close(
            cox_ph_test(rows, terms, transform=transform),
            cox_ph_test(kept, terms, transform=transform),
            1e-9,
        )


def test_rows_that_are_never_at_risk():
    rows = CoxRows(np.eye(3)[:, :1], np.zeros(3), [1.0, 2.0, 3.0], [0, 1, 0])
    assert martingale_residuals(rows).tolist() == [0.0, 0.5, -0.5]
    assert score_residuals(rows)[0] == 0.0


# -- proportional hazards -----------------------------------------------------------


@both_ties
@every_seed
def test_score_test(ties, seed):
    data = simulate(seed, ties=seed != 3)
    rows = rows_of(data, ties)
    mean = np.log1p(data["time"][data["event"]]).mean()
    score, information = time_varying(data, ties, lambda t: np.log1p(t) - mean)
    penalty = np.diag([0.0, 3.0, 5.0])
    terms = {"a": [0], "bc": [1, 2]}
    for extra in (np.zeros((3, 3)), penalty):
        full = information + np.kron(np.eye(2), extra)
        found = cox_ph_test(rows, terms, transform=np.log1p, penalty=extra)
        for name, columns in {**terms, "GLOBAL": [0, 1, 2]}.items():
            kept = [0, 1, 2, *(3 + j for j in columns)]
            u = np.r_[np.zeros(3), score[columns]]
            value = u @ np.linalg.solve(full[np.ix_(kept, kept)], u)
            assert found.loc[name, "chi2"] == pytest.approx(value, rel=1e-8)
            assert found.loc[name, "df"] == len(columns)


def test_transforms_follow_their_definitions():
    data = simulate(0)
    data["entry"][:] = 0.0
    rows = rows_of(data)
    time, event = data["time"], data["event"]

    def km(times):  # one minus the curve just before
        out = []
        for t in times:
            curve = 1.0
            for u in np.unique(time[event & (time < t)]):
                curve *= 1 - (event & (time == u)).sum() / (time >= u).sum()
            out.append(1 - curve)
        return np.array(out)

    def rank(times):
        return np.array([(time < t).sum() + ((time == t).sum() + 1) / 2 for t in times])

    for name, g in (("km", km), ("rank", rank), ("log", np.log)):
        close(
            cox_ph_test(rows, {"x": [0]}, transform=name),
            cox_ph_test(rows, {"x": [0]}, transform=g),
            1e-8,
        )


# -- predicted curves ---------------------------------------------------------------


@both_ties
def test_band(ties):
    data = simulate(2)
    base = CoxBaseline.from_rows(rows_of(data, ties))
    cov = np.array([[0.2, 0.05, 0], [0.05, 0.1, 0], [0, 0, 0.3]])
    x, eta = np.array([[0.5, -1, 1], [0, 2, 0]]), np.array([0.3, -0.2])
    band = cox_survival_band(base, x, eta, cov, strata=["b", "a"], level=0.9)
    for i, label in enumerate("ba"):
        for t in (0.5, 3.0, 6.0, 45.0):
            hazard, error = curve(data, ties, x[i], eta[i], cov, label, t)
            assert -np.log(band.estimate([t])[i, 0]) == pytest.approx(hazard, abs=1e-12)
            assert band.std_error([t])[i, 0] == pytest.approx(error, abs=1e-12)
            if hazard > 0:
                low = np.exp(
                    -np.exp(np.log(hazard) + 1.6448536269514722 * error / hazard)
                )
                assert band.lower([t])[i, 0] == pytest.approx(low, abs=1e-12)
            else:
                assert band.lower([t])[i, 0] == band.upper([t])[i, 0] == 1.0


def test_band_far_from_zero_and_without_strata():
    data = simulate(2)
    data["strata"][:] = "a"
    near = CoxBaseline.from_rows(rows_of(data))
    far = CoxBaseline.from_rows(rows_of(data, eta=data["eta"] + 900.0))
    x, cov = np.zeros((1, 3)), np.eye(3)
    one = cox_survival_band(near, x, [0.1], cov, strata=["a"])
    two = cox_survival_band(far, x, [900.1], cov, strata=["a"])
    close(one.lower.values, two.lower.values, 1e-9)
    plain = CoxBaseline.from_rows(
        CoxRows(data["x"], data["eta"], data["time"], data["event"])
    )
    assert list(plain.strata) == [None]
    assert len(cox_survival_band(plain, x, [0.1], cov, index=["new"]).upper.index) == 1
