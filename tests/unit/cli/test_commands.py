"""Fit, predict and report from the command line, against the same calls in Python."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import semistruct as ss
from semistruct.cli import main


@pytest.fixture
def rossi(tmp_path):
    X, y = ss.datasets.load_rossi()
    cause = np.where(y.event, np.where(X["prio"] > 2, "new", "old"), None)
    frame = X.assign(week=y.time, arrest=y.event.astype(int), cause=cause)
    frame.to_csv(tmp_path / "rossi.csv", index=False)
    return tmp_path


def _fit(folder, table, *options):
    return main(["fit", str(folder / table), *options, "--out", str(folder / "model")])


def _predicted(folder, table, capsys, *options):
    capsys.readouterr()
    assert main(["predict", str(folder / "model"), str(folder / table), *options]) == 0
    return pd.read_csv(io.StringIO(capsys.readouterr().out), index_col="row")


COX = ("--formula", "fin + age + prio", "--time", "week", "--event", "arrest")


def test_survival_is_what_python_fits(rossi, capsys):
    assert _fit(rossi, "rossi.csv", *COX) == 0
    X, y = ss.datasets.load_rossi()
    model = ss.SemiStructuredSurvival("fin + age + prio").fit(X, y)
    assert capsys.readouterr().out.strip() == str(model.summary()).strip()
    out = _predicted(rossi, "rossi.csv", capsys, "--times", "40,20", "--keep", "age")
    assert list(out) == ["age", "risk", "survival_20", "survival_40"]
    np.testing.assert_allclose(out["risk"], model.predict(X), rtol=1e-9)
    curves = model.predict_survival_function(X)
    np.testing.assert_allclose(out["survival_40"], curves(40)[:, 0], rtol=1e-9)
    plain = _predicted(rossi, "rossi.csv", capsys)
    median = model.predict_quantile(X, 0.5).iloc[:, 0].to_numpy()
    assert np.isnan(plain["median"].to_numpy()).tolist() == np.isinf(median).tolist()


def test_causes_and_time_varying_effects(rossi, capsys):
    options = ("--formula", "fin + age", "--time", "week", "--cause", "cause")
    assert _fit(rossi, "rossi.csv", *options) == 0
    out = _predicted(rossi, "rossi.csv", capsys, "--times", "30")
    names = ["survival_30", "incidence_new_30", "incidence_old_30"]
    assert list(out) == ["risk_new", "risk_old", *names]
    np.testing.assert_allclose(out[names].sum(axis=1), 1, atol=1e-9)
    pamm = ("--formula", "s(time) + fin", "--time", "week", "--event", "arrest")
    assert _fit(rossi, "rossi.csv", *pamm, "--head", "pamm") == 0
    assert list(_predicted(rossi, "rossi.csv", capsys)) == ["risk", "median"]


def test_a_report_knows_the_target_of_the_fit(rossi, capsys):
    assert _fit(rossi, "rossi.csv", *COX) == 0
    page = rossi / "new" / "report.html"
    call = ["report", str(rossi / "model"), str(rossi / "rossi.csv")]
    assert main([*call, "--out", str(page), "--title", "Rossi"]) == 0
    text = page.read_text(encoding="utf-8")
    assert "<title>Rossi</title>" in text
    assert "those that the model was fitted to" in text


def test_a_report_of_a_model_saved_in_python_asks_for_the_target(rossi, capsys):
    X, y = ss.datasets.load_rossi()
    ss.SemiStructuredSurvival("age").fit(X, y).save(rossi / "model")
    call = ["report", str(rossi / "model"), str(rossi / "rossi.csv")]
    call += ["--out", str(rossi / "r.html")]
    assert main(call) == 1
    assert "say what the target is" in capsys.readouterr().err
    assert main([*call, "--time", "week", "--event", "arrest"]) == 0


def test_paths_of_images_are_relative_to_the_table(tmp_path, capsys, monkeypatch):
    X, y = ss.datasets.make_regression_digits(60, missing=0.1, random_state=0)
    (tmp_path / "scans").mkdir()
    cells = []
    for i, scan in enumerate(X["scan"]):
        missing = np.ndim(scan) == 0
        cells.append("" if missing else f"scans/{i}.png")
        if not missing:
            pixels = np.asarray(scan, dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / cells[-1])
    X.drop(columns="scan").assign(scan=cells, y=y).to_csv(
        tmp_path / "t.tsv", index=False, sep="\t"
    )
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    options = ("--formula", "age + image(scan)", "--target", "y", "--epochs", "1")
    assert _fit(tmp_path, "t.tsv", *options) == 0
    out = _predicted(
        tmp_path, "t.tsv", capsys, "--terms", "--interval", "0.9", "--keep", "stage"
    )
    terms = ["term Intercept", "term age", "term image(scan)"]
    assert list(out) == ["stage", "prediction", "lower", "upper", *terms]
    np.testing.assert_allclose(out[terms].sum(axis=1), out["prediction"], atol=1e-5)
    assert out["term image(scan)"].eq(0).sum() >= sum(cell == "" for cell in cells) > 0


def test_labels_and_two_numbers(rossi, capsys):
    terms = ("--formula", "age + prio", "--target", "arrest")
    assert _fit(rossi, "rossi.csv", *terms) == 1
    assert "--task classification or --task regression" in capsys.readouterr().err
    assert _fit(rossi, "rossi.csv", *terms, "--task", "classification") == 0
    X, y = ss.datasets.load_rossi()
    model = ss.SemiStructuredClassifier("age + prio").fit(X, y.event.astype(int))
    out = _predicted(rossi, "rossi.csv", capsys)
    assert list(out) == ["prediction", "probability_0", "probability_1"]
    np.testing.assert_allclose(
        out[["probability_0", "probability_1"]], model.predict_proba(X), rtol=1e-9
    )
    labels = pd.read_csv(rossi / "rossi.csv").assign(kind=np.where(X["mar"], "a", "b"))
    labels.to_csv(rossi / "labels.csv", index=False)
    assert _fit(rossi, "labels.csv", "--formula", "age", "--target", "kind") == 0
    assert "probability_a" in _predicted(rossi, "labels.csv", capsys)


def test_two_formulas_and_a_family(tmp_path, capsys):
    X, y = ss.datasets.load_mcycle()
    X.assign(accel=y).to_csv(tmp_path / "m.csv", index=False)
    options = ("--target", "accel", "--formula", "loc ~ s(times, k=20)")
    options += ("--formula", "scale ~ s(times)")
    assert _fit(tmp_path, "m.csv", *options) == 0
    model = ss.SemiStructuredRegressor({"loc": "s(times, k=20)", "scale": "s(times)"})
    out = _predicted(tmp_path, "m.csv", capsys, "--terms")
    np.testing.assert_allclose(out["prediction"], model.fit(X, y).predict(X), rtol=1e-7)
    assert "term scale: s(times)" in out
    target = tmp_path / "new" / "p.csv"
    call = ["predict", str(tmp_path / "model"), str(tmp_path / "m.csv")]
    assert main([*call, "--out", str(target)]) == 0
    assert len(pd.read_csv(target)) == len(X)


def test_parquet(rossi, capsys):
    frame = pd.read_csv(rossi / "rossi.csv")
    frame.to_parquet(rossi / "rossi.parquet")
    assert _fit(rossi, "rossi.parquet", *COX) == 0
    assert len(_predicted(rossi, "rossi.parquet", capsys)) == len(frame)


BOTH = ("--family", "gamma", "--task", "classification")
WRONG = [
    (["--formula", "ages", "--time", "week"], "Did you mean 'age'?"),
    (["--formula", "age", "--time", "weeks"], "'weeks' is not in the table"),
    (["--formula", "age"], "Say what is to be explained"),
    (["--formula", "age", "--target", "prio", "--time", "week"], "give one"),
    (["--formula", "age", "--event", "arrest"], "give --time too"),
    (["--formula", "age", "--time", "week", "--event", "prio"], "event"),
    (["--formula", "age", "--target", "cause"], "'cause' is empty in 318 rows"),
    (["--formula", "prio ~ age", "--target", "prio"], "has a left side"),
    (["--formula", "loc ~ age", "--formula", "fin", "--target", "prio"], "NAME ~ TER"),
    (["--formula", "age +", "--target", "prio"], "age +"),
    (["--formula", "age", "--target", "prio", "--head", "cox"], "--head is for"),
    (["--formula", "age", "--time", "week", "--family", "gamma"], "for --target"),
    (["--formula", "age", "--time", "week", "--head", "coks"], "Did you mean 'cox'?"),
    (["--formula", "age", "--target", "prio", "--family", "posson"], "poisson"),
    (
        [*("--formula", "age", "--target", "prio"), *BOTH],
        "--task regression",
    ),
]


@pytest.mark.parametrize(("options", "words"), WRONG)
def test_errors_of_the_user_are_one_line_and_1(rossi, capsys, options, words):
    assert _fit(rossi, "rossi.csv", *options) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert words in said.err
    assert said.err.startswith("semistruct: ")
    assert said.err.count("\n") == 1
    assert not (rossi / "model").exists()


def test_errors_of_files_and_predictions(rossi, capsys):
    cases = {
        ("fit", "no.csv", "--formula", "a", "--target", "a", "--out", "m"): "no such",
        ("fit", "t.xls", "--formula", "a", "--target", "a", "--out", "m"): "ends in",
        ("fit", "e.csv", "--formula", "a", "--target", "a", "--out", "m"): "be read",
        ("predict", "no", str(rossi / "rossi.csv")): "not a saved model",
    }
    (rossi / "e.csv").write_text("")
    for call, words in cases.items():
        full = [str(rossi / a) if a.endswith((".csv", ".xls")) else a for a in call]
        assert main(full) == 1
        assert words in capsys.readouterr().err
    assert _fit(rossi, "rossi.csv", "--formula", "age", "--target", "prio") == 0
    call = ["predict", str(rossi / "model"), str(rossi / "rossi.csv")]
    for option, words in {
        ("--times", "1"): "--times is for survival",
        ("--keep", "nobody"): "no column 'nobody'",
    }.items():
        capsys.readouterr()
        assert main([*call, *option]) == 1
        assert words in capsys.readouterr().err
    assert _fit(rossi, "rossi.csv", *COX) == 0
    assert main([*call, "--interval", "0.9"]) == 1
    assert "--interval is for regression" in capsys.readouterr().err


@pytest.mark.parametrize(
    "call",
    [
        ["fit", "t.csv"],
        ["predict", "m"],
        ["predict", "m", "t.csv", "--times", "one"],
        ["predict", "m", "t.csv", "--times", "-1"],
        ["fit", "t.csv", "--formula", "a", "--out", "m", "--task", "guess"],
        ["nothing"],
    ],
)
def test_wrong_usage_is_2(call, capsys):
    with pytest.raises(SystemExit) as stop:
        main(call)
    assert stop.value.code == 2
    assert "usage: semistruct" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["demo", "fit", "predict", "report"])
def test_help_shows_examples(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert f"semistruct {command}" in out
    assert command == "demo" or "examples:" in out
    assert max(map(len, out.splitlines())) <= 88


def test_warnings_are_one_line(rossi, capsys, monkeypatch):
    import warnings

    def warn(given):
        warnings.warn("two\nlines", UserWarning, stacklevel=1)

    monkeypatch.setattr("semistruct.cli._commands.run_predict", warn)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert main(["predict", "m", "t.csv"]) == 0
    assert capsys.readouterr().err == "semistruct: two lines\n"


@pytest.mark.slow
def test_as_a_process(rossi):
    python = [sys.executable, "-m", "semistruct.cli"]
    fit = [*python, "fit", "rossi.csv", *COX, "--out", "model"]
    done = subprocess.run(fit, cwd=rossi, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0
    assert "hazard ratio" in done.stdout
    assert done.stderr == "Wrote the model to model.\n"
    assert Path(rossi / "model" / "model.json").exists()
