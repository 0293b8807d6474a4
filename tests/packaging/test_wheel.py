"""A wheel is built, holds what the package needs, and works where it is installed."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "semistruct")


def run(*command, cwd, **environment):
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def backend_is_here() -> bool:
    """Tell whether setuptools is new enough to build without a download."""
    try:
        return int(importlib.metadata.version("setuptools").split(".")[0]) >= 77
    except importlib.metadata.PackageNotFoundError:
        return False


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Build from a copy, so that the checkout stays clean."""
    source = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            ignore = shutil.ignore_patterns("__pycache__", "*.pyc")
            shutil.copytree(ROOT / name, source / name, ignore=ignore)
        else:
            shutil.copy(ROOT / name, source / name)
    isolation = ["--no-isolation"] if backend_is_here() else []
    out = tmp_path_factory.mktemp("dist")
    run("-m", "build", "--wheel", *isolation, "--outdir", out, ".", cwd=source)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    target = tmp_path_factory.mktemp("site")
    quiet = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-index"]
    run("-m", "pip", "install", *quiet, "--target", target, wheel, cwd=target)
    return target


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_it_holds_every_module_the_types_and_the_tables(wheel):
    package = ROOT / "semistruct"
    modules = {p.relative_to(ROOT).as_posix() for p in package.rglob("*.py")}
    tables = {
        p.relative_to(ROOT).as_posix() for p in (package / "data/tables").iterdir()
    }
    assert tables
    assert modules | tables | {"semistruct/py.typed"} <= names(wheel)


def test_it_holds_nothing_else(wheel):
    assert {name.split("/")[0].split("-")[0] for name in names(wheel)} == {"semistruct"}
    assert not [n for n in names(wheel) if n.endswith((".pyc", ".so", ".pth"))]


def test_its_metadata(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (path,) = [n for n in archive.namelist() if n.endswith("/METADATA")]
        text = archive.read(path).decode()
        (path,) = [n for n in archive.namelist() if n.endswith("/entry_points.txt")]
        entry_points = archive.read(path).decode()
    assert "License-Expression: BSD-3-Clause" in text
    assert "Requires-Python: >=3.11" in text
    assert "semistruct = semistruct.cli:main" in entry_points
    assert [n for n in names(wheel) if n.endswith("/licenses/LICENSE")]


def test_it_works_where_it_is_installed(installed, tmp_path):
    code = (
        "import json, semistruct as ss\n"
        "X, y = ss.datasets.load_rossi()\n"
        "print(json.dumps([ss.__file__, ss.__version__, len(X), len(y)]))"
    )
    out = run("-c", code, cwd=tmp_path, PYTHONPATH=str(installed))
    file, version, rows, targets = json.loads(out)
    assert Path(file) == installed / "semistruct" / "__init__.py"
    assert rows == targets == 432
    (meta,) = installed.glob("semistruct-*.dist-info")
    assert meta.name == f"semistruct-{version}.dist-info"


def test_its_command_runs(installed, tmp_path):
    code = "from semistruct.cli import main; main(['--help'])"
    code = f"try:\n {code}\nexcept SystemExit as end:\n assert not end.code"
    assert "demo" in run("-c", code, cwd=tmp_path, PYTHONPATH=str(installed))
