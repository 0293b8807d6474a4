"""The README's example runs, and prints what the README says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.md"


def blocks(language: str) -> list[str]:
    fence = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.S | re.M)
    found = fence.findall(README.read_text(encoding="utf-8"))
    return [body for name, body in found if name == language]


def numbers(text: str) -> list[float]:
    return [float(x) for x in re.findall(r"-?\d+\.\d+", text)]


def test_example_prints_what_is_shown(capsys):
    code = [block for block in blocks("python") if "fit(" in block or "score(" in block]
    shown = [
        block for block in blocks("") if "hazard ratio" in block or "image(" in block
    ]
    assert len(code) == len(shown) == 2
    space: dict[str, object] = {}
    for block, expected in zip(code, shown, strict=True):
        exec(compile(block, "README.md", "exec"), space)
        printed = capsys.readouterr().out
        words = [line.split()[0] for line in expected.splitlines() if line.strip()]
        assert [w for w in words if w.startswith(("age", "C(", "s(", "image("))]
        assert len(numbers(printed)) == len(numbers(expected))
        # another processor may round a convolution another way
        assert numbers(printed) == pytest.approx(numbers(expected), rel=0.05, abs=0.05)


def test_commands_are_targets_of_the_makefile():
    makefile = (README.parent / "Makefile").read_text(encoding="utf-8")
    (commands,) = (b for b in blocks("") if b.startswith("make demo"))
    for line in commands.splitlines():
        target = line.split()[1]
        assert re.search(rf"^{target}:", makefile, flags=re.M)


def test_links_lead_somewhere():
    text = README.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#]+)\)", text)
    assert links
    for link in links:
        assert (README.parent / link).exists(), link
