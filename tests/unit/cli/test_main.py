"""The command line: what it prints, writes and returns."""

from __future__ import annotations

import re

import pytest

import semistruct as ss
from semistruct.cli import main
from semistruct.exceptions import DataError


def test_demo_prints_truth_and_scores_and_writes_a_page(tmp_path, capsys):
    assert main(["demo", "--out", str(tmp_path / "demo"), "--rows", "300"]) == 0
    out = capsys.readouterr().out
    for word in (
        "truth",
        "C(stage)[T.III]",
        "table only",
        "image only",
        "C-index",
        "R²",
    ):
        assert word in out
    page = (tmp_path / "demo" / "index.html").read_text(encoding="utf-8")
    assert page.count("<img") == 2
    assert not re.search(r"(src|href)=\"http", page)
    for name in ("survival.png", "regression.png"):
        assert (tmp_path / "demo" / name).stat().st_size > 10_000


def test_scores_are_ordered_as_the_truth_says(tmp_path, capsys):
    main(["demo", "--out", str(tmp_path), "--rows", "700"])
    out = capsys.readouterr().out
    found = re.findall(
        r"^(table only|table \+ image|truth[^\d]*?)\s+([\d.]+)", out, re.M
    )
    values = [float(v) for _, v in found]
    assert len(values) == 6
    for table, both, truth in (values[:3], values[3:]):
        assert table < both < truth


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert ss.__version__ in capsys.readouterr().out


def test_no_command_is_help_and_exit_code_2(capsys):
    assert main([]) == 2
    assert "demo" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (DataError("no such row"), 1, "no such row"),
        (KeyboardInterrupt(), 130, "stopped"),
    ],
)
def test_errors_are_told_on_stderr(monkeypatch, capsys, error, code, words):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr("semistruct.cli._demo.run_demo", fail)
    assert main(["demo"]) == code
    assert words in capsys.readouterr().err
