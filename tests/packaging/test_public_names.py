"""The public names are those of a list: a change of them is meant, never by chance.

After a change that is meant, write the list anew and say so in CHANGELOG.md:

    python tests/packaging/test_public_names.py
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import types
from pathlib import Path

import pytest

import semistruct

LIST = Path(__file__).with_name("public_names.txt")


def facades() -> dict[str, types.ModuleType]:
    """Give the root, its modules and the rooms, by public name."""
    modules = (semistruct.terms, semistruct.datasets)
    found = {"semistruct": semistruct}
    found |= {f"semistruct.{m.__name__.split('.')[-1]}": m for m in modules}
    for info in pkgutil.iter_modules(semistruct.__path__):
        if not info.name.startswith("_"):
            name = f"semistruct.{info.name}"
            found[name] = importlib.import_module(name)
    return found


def public_names() -> list[str]:
    return sorted(
        f"{place}.{name}"
        for place, module in facades().items()
        for name in module.__all__
    )


def test_the_public_names_are_those_of_the_list():
    assert public_names() == LIST.read_text(encoding="utf-8").splitlines(), __doc__


@pytest.mark.parametrize(("place", "module"), facades().items(), ids=list(facades()))
def test_every_facade_names_what_it_has_and_says_what_it_is(place, module):
    assert module.__doc__
    assert len(module.__all__) == len(set(module.__all__))
    for name in module.__all__:
        thing = getattr(module, name)
        if inspect.isclass(thing) or inspect.isroutine(thing):
            assert inspect.getdoc(thing), f"{place}.{name} has no docstring"


def test_dir_shows_the_public_names():
    assert set(semistruct.__all__) <= set(dir(semistruct))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'SemiStructuredOther'"):
        _ = semistruct.SemiStructuredOther
    assert not hasattr(semistruct, "plot")


if __name__ == "__main__":
    LIST.write_text("\n".join(public_names()) + "\n", encoding="utf-8")
