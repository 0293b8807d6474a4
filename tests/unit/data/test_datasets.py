"""Data sets: shape, seeds, and the truth recovered by other tools."""

from __future__ import annotations

import pickle
from importlib.resources import files

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits

from semistruct.data import TensorArray, datasets
from semistruct.data.datasets import (
    bmi_effect,
    load_mcycle,
    load_regression_digits,
    load_rossi,
    load_survival_digits,
    make_regression_digits,
    make_survival_digits,
)
from semistruct.exceptions import ParameterError

MAKERS = [make_survival_digits, make_regression_digits]
SIGNALS = ["independent", "none", "encodes"]


def values(y):
    return y.time if hasattr(y, "time") else y.to_numpy()


@pytest.mark.parametrize("make", MAKERS)
class TestBoth:
    def test_columns(self, make):
        X, y = make(300)
        assert X.columns.tolist() == ["age", "stage", "bmi", "scan"]
        assert len(X) == len(y) == 300
        assert X["age"].between(30, 90).all()
        assert X["bmi"].between(17, 42).all()
        assert X["stage"].cat.categories.tolist() == ["I", "II", "III"]
        assert set(X["stage"]) == {"I", "II", "III"}
        assert X["scan"].dtype == "tensor[uint8, (8, 8)]"
        assert not X.isna().any().any()

    @pytest.mark.parametrize("signal", SIGNALS)
    def test_truth_adds_up(self, make, signal):
        X, _, truth = make(200, signal=signal, return_truth=True)
        parts = truth["contributions"]
        beta = truth["coefficients"]
        total = truth["linear_predictor"] - truth.get("intercept", 0.0)
        np.testing.assert_allclose(parts.sum(axis=1), total, atol=1e-12)
        assert list(parts) == ["age", "C(stage)", "s(bmi)", "image(scan)"]
        slope = np.polyfit(X["age"], parts["age"], 1)[0]
        assert slope == pytest.approx(beta["age"])
        for level in ("II", "III"):
            found = parts.loc[X["stage"] == level, "C(stage)"]
            np.testing.assert_allclose(found, beta[f"C(stage)[T.{level}]"])
        np.testing.assert_array_equal(parts["s(bmi)"], truth["smooth"](X["bmi"]))
        if signal == "independent":
            line = np.polyfit(truth["digit"], parts["image(scan)"], 1, full=True)
            assert line[1][0] < 1e-20
            assert line[0][0] > 0
        else:
            assert (parts["image(scan)"] == 0).all()
        pickle.dumps(truth)

    def test_seed(self, make):
        first, second, other = (
            make(50),
            make(50, random_state=0),
            make(50, random_state=1),
        )
        pd.testing.assert_frame_equal(first[0], second[0])
        np.testing.assert_array_equal(values(first[1]), values(second[1]))
        assert not np.array_equal(values(first[1]), values(other[1]))
        rng = np.random.default_rng(3)
        assert not make(50, random_state=rng)[0].equals(make(50, random_state=rng)[0])

    def test_scans_are_real(self, make):
        X, _, truth = make(1797, return_truth=True)
        digits = load_digits()
        known = {
            np.rint(image * 255 / 16).astype(np.uint8).tobytes(): digit
            for image, digit in zip(digits.images, digits.target, strict=True)
        }
        found = [known[cell.tobytes()] for cell in X["scan"]]
        np.testing.assert_array_equal(found, truth["digit"])
        assert len(X["scan"].array.unique()) == len(known)
        assert len(make(2000)[0]) == 2000

    def test_digit_is_independent_of_the_table(self, make):
        X, _, truth = make(1797, return_truth=True)
        table = X[["age", "bmi"]].assign(stage=X["stage"].cat.codes)
        assert table.corrwith(pd.Series(truth["digit"])).abs().max() < 4 / np.sqrt(1797)

    def test_scan_encodes_age(self, make):
        X, _ = make(1000, signal="encodes")
        plain, _ = make(1000, signal="none")
        ratio = (X["scan"].array.block.sum(axis=(1, 2))) / plain[
            "scan"
        ].array.block.sum(axis=(1, 2))
        np.testing.assert_allclose(ratio, 0.25 + 0.75 * (X["age"] - 30) / 60, atol=0.02)
        brightness = X["scan"].array.block.mean(axis=(1, 2))
        assert np.corrcoef(brightness, X["age"])[0, 1] > 0.7

    def test_missing(self, make):
        X, _ = make(1500, missing=0.3)
        assert abs(X["scan"].isna().mean() - 0.3) < 0.05
        assert abs(np.corrcoef(X["scan"].isna(), X["age"])[0, 1]) < 0.1

    @pytest.mark.parametrize(
        ("name", "value"),
        [("n", 0), ("n", 2.5), ("signal", "nothing"), ("missing", 1.0),
         ("random_state", -1)],
    )  # fmt: skip
    def test_errors(self, make, name, value):
        with pytest.raises(ParameterError, match=f"'{name}'"):
            make(**{"n": 10, name: value})


def test_bmi_effect():
    np.testing.assert_allclose(
        bmi_effect([22.0, 25.0, 37.0], 2.0),
        [2 * (2**0.5 - 1), 0, 2 * (17**0.5 - 1)],
    )


class TestSurvival:
    def test_cox_regression_recovers_the_truth(self):
        from lifelines import CoxPHFitter

        X, y, truth = make_survival_digits(5000, return_truth=True)
        frame = pd.get_dummies(X[["age", "stage"]], drop_first=True, dtype=float)
        frame["bmi"] = truth["contributions"]["s(bmi)"]
        frame["scan"] = truth["contributions"]["image(scan)"]
        expected = [*truth["coefficients"].values(), 1.0, 1.0]
        fit = CoxPHFitter().fit(frame.assign(t=y.time, d=y.event), "t", "d")
        z = (fit.params_ - expected) / fit.standard_errors_
        assert z.abs().max() < 3
        zero = frame * 0 + [60.0, 0.0, 0.0, 0.0, 0.0]
        hazard = fit.predict_cumulative_hazard(zero.head(1), times=[2.0, 5.0, 10.0])
        shape, scale = truth["weibull"]["shape"], truth["weibull"]["scale"]
        np.testing.assert_allclose(
            hazard[0], (np.array([2.0, 5.0, 10.0]) / scale) ** shape, rtol=0.15
        )

    @pytest.mark.parametrize("censoring", [0.0, 0.3, 0.7])
    @pytest.mark.parametrize("signal", ["independent", "none"])
    def test_censoring(self, censoring, signal):
        _, y, truth = make_survival_digits(
            4000, signal=signal, censoring=censoring, return_truth=True
        )
        assert truth["censored"] == pytest.approx(1 - y.event.mean())
        assert truth["censored"] == pytest.approx(censoring, abs=0.025)
        with pytest.raises(ParameterError, match="'censoring'"):
            make_survival_digits(10, censoring=1.0)

    def test_c_index(self):
        from lifelines.utils import concordance_index

        _, y, truth = make_survival_digits(400, return_truth=True)
        other = concordance_index(y.time, -truth["linear_predictor"], y.event)
        assert truth["c_index"] == pytest.approx(other, abs=1e-12)
        _, _, table_only = make_survival_digits(400, signal="none", return_truth=True)
        assert truth["c_index"] > table_only["c_index"] + 0.03

    def test_load(self):
        X, y = load_survival_digits()
        assert X.shape == (1200, 4)
        again, z = load_survival_digits()
        pd.testing.assert_frame_equal(X, again)
        assert y == z
        assert isinstance(X["scan"].array, TensorArray)


class TestRegression:
    def test_least_squares_recovers_the_truth(self):
        X, y, truth = make_regression_digits(5000, noise=0.7, return_truth=True)
        parts = truth["contributions"]
        stage = pd.get_dummies(X["stage"], dtype=float)[["II", "III"]]
        design = np.column_stack(
            [np.ones(5000), X["age"], stage, parts["s(bmi)"], parts["image(scan)"]]
        )
        beta, rss, *_ = np.linalg.lstsq(design, y.to_numpy())
        sigma = np.sqrt(rss[0] / (5000 - 6))
        se = sigma * np.sqrt(np.diag(np.linalg.inv(design.T @ design)))
        expected = [truth["intercept"], *truth["coefficients"].values(), 1.0, 1.0]
        assert np.abs((beta - expected) / se).max() < 3
        assert sigma == pytest.approx(0.7, abs=0.03)
        residual = y - truth["linear_predictor"]
        assert truth["r2"] == pytest.approx(
            1 - (residual**2).sum() / (5000 * y.var(ddof=0))
        )

    def test_noise(self):
        with pytest.raises(ParameterError, match="'noise'"):
            make_regression_digits(10, noise=0.0)

    def test_load(self):
        X, y = load_regression_digits()
        assert X.shape == (1200, 4)
        np.testing.assert_array_equal(y, load_regression_digits()[1])


class TestTables:
    def test_rossi(self):
        from lifelines.datasets import load_rossi as reference

        X, y = load_rossi()
        expected = reference()
        pd.testing.assert_frame_equal(X, expected[X.columns], check_dtype=False)
        np.testing.assert_array_equal(y.time, expected["week"])
        np.testing.assert_array_equal(y.event, expected["arrest"] == 1)
        assert (len(y), y.event.sum(), y.time.max()) == (432, 114, 52)

    def test_mcycle(self):
        X, y = load_mcycle()
        assert X.shape == (133, 1)
        assert (X["times"].iloc[0], X["times"].iloc[-1]) == (2.4, 57.6)
        assert (y.min(), y.max()) == (-134.0, 75.0)
        assert X["times"].is_monotonic_increasing
        assert y.name == "accel"

    def test_tables_are_shipped(self):
        folder = files("semistruct.data") / "tables"
        names = {entry.name for entry in folder.iterdir()}
        assert names == {"README.md", "mcycle.csv", "rossi.csv"}

    def test_facade(self):
        assert sorted(datasets.__all__) == datasets.__all__
        assert all(hasattr(datasets, name) for name in datasets.__all__)
