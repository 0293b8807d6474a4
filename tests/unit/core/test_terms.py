"""Terms: labels, columns and keys; saved and read again."""

from __future__ import annotations

import dataclasses
import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semistruct._core import terms as t
from semistruct.exceptions import PersistenceError

# term, label, columns
STRUCTURED = [
    (t.Linear("age + C(stage)"), "age + C(stage)", ()),
    (t.Smooth("bmi"), "s(bmi)", ("bmi",)),
    (t.Smooth("bmi", k=20, bs="cr", by="g", sp=1.5), "s(bmi):g", ("bmi", "g")),
    (t.Tensor(("x", "z")), "te(x, z)", ("x", "z")),
    (t.Tensor(("x", "z"), interaction=True), "ti(x, z)", ("x", "z")),
    (t.Tensor(("x", "z"), by="g", sp=(1.0, 2.0)), "te(x, z):g", ("x", "z", "g")),
    (t.RandomEffect("g"), "re(g)", ("g",)),
    (t.RandomEffect("g", "x"), "re(g, x)", ("g", "x")),
    (t.Cumulative("dose"), "cumulative(dose)", ("dose", "time")),
    (
        t.Cumulative("dose", 8, 30.0, 1.5, (0.0, 2.5), "day", 2.0),
        "cumulative(dose)",
        ("dose", "day"),
    ),
    (t.Offset("log_n"), "offset(log_n)", ("log_n",)),
]
# term, label, columns, name
DEEP = [
    (t.Image("scan"), "image(scan)", ("scan",), "scan"),
    (t.Image("scan", "cnn", (8, 9), "x"), "image(scan):x", ("scan", "x"), "scan"),
    (t.Text("note"), "text(note)", ("note",), "note"),
    (t.Text("note", by="x"), "text(note):x", ("note", "x"), "note"),
    (t.Omics(("rna_*",)), "omics(rna_*)", ("rna_*",), "rna_*"),
    (t.Tabular(("a", "b")), "tabular(a, b)", ("a", "b"), "a_b"),
    (t.Tabular(("a", "b"), by="x"), "tabular(a, b):x", ("a", "b", "x"), "a_b"),
    (
        t.Fuse((t.Image("scan", by="x"), t.Tabular(("a", "x"))), "gated", "g"),
        "fuse(image(scan):x, tabular(a, x)):g",
        ("scan", "x", "a", "g"),
        "fuse_scan_a_x",
    ),
    (t.PCA(t.Image("scan"), 20), "pca(image(scan), 20)", ("scan",), "pca_scan"),
    (
        t.Pretrained("resnet18", "scan"),
        "pretrained(resnet18, scan)",
        ("scan",),
        "pretrained_scan",
    ),
]
ALL = [row[0] for row in STRUCTURED + DEEP]


@pytest.mark.parametrize(("term", "label", "columns"), STRUCTURED)
def test_structured(term, label, columns):
    assert term.label == label
    assert term.columns == columns
    assert isinstance(term, t.StructuredTerm)
    assert not isinstance(term, t.DeepTerm)


@pytest.mark.parametrize(("term", "label", "columns", "name"), DEEP)
def test_deep(term, label, columns, name):
    assert term.label == label
    assert term.columns == columns
    assert term.name == name
    assert isinstance(term, t.DeepTerm)
    assert not isinstance(term, t.StructuredTerm)


@pytest.mark.parametrize("term", ALL, ids=lambda term: term.label)
def test_terms_are_values(term):
    again = pickle.loads(pickle.dumps(term))
    assert again == term
    assert hash(again) == hash(term)
    with pytest.raises(dataclasses.FrozenInstanceError):
        term.label = "other"


def test_omics_and_tabular_differ():
    assert t.Omics(("a",)) != t.Tabular(("a",))


@pytest.mark.parametrize(
    ("term", "attribute"),
    [
        (t.Term(), "label"),
        (t.StructuredTerm(), "columns"),
        (t.DeepTerm(), "name"),
        (t.DeepTerm(), "label"),
    ],
)
def test_bases_are_abstract(term, attribute):
    with pytest.raises(TypeError, match=f"{type(term).__name__} is abstract"):
        getattr(term, attribute)


@pytest.mark.parametrize("term", ALL, ids=lambda term: term.label)
def test_saved_as_json_and_read_again(term):
    state = json.loads(json.dumps(t.term_to_state(term)))
    assert t.term_from_state(state) == term


def test_every_term_can_be_saved_and_is_tried_here():
    def concrete(cls):
        found = {cls} if cls.__name__ in t.__all__ else set()
        return found.union(*(concrete(c) for c in cls.__subclasses__()))

    kinds = concrete(t.Term) - {t.Term, t.StructuredTerm, t.DeepTerm}
    assert {type(term) for term in ALL} == kinds


names = st.text(min_size=1, max_size=5)
leaves = st.one_of(
    st.builds(t.Image, names, st.none() | names, st.none() | st.integers(1, 99)),
    st.builds(t.Omics, st.lists(names, min_size=1, max_size=3).map(tuple)),
)
deep = st.recursive(
    leaves,
    lambda inner: (
        st.builds(t.Fuse, st.lists(inner, min_size=2, max_size=3).map(tuple))
        | st.builds(t.PCA, inner, st.integers(1, 50))
    ),
    max_leaves=6,
)


@given(deep)
def test_nested_terms_are_saved_and_walked(term):
    assert t.term_from_state(json.loads(json.dumps(t.term_to_state(term)))) == term
    met = list(t.walk(term))
    assert met[0] is term
    saved = json.dumps(t.term_to_state(term))
    assert len(met) == saved.count('"kind": "')  # the name of each kind


def test_walk_meets_the_inner_terms_in_order():
    scan, note = t.Image("scan"), t.Text("note")
    inner = t.PCA(note)
    whole = t.Fuse((scan, inner))
    assert list(t.walk(whole)) == [whole, scan, inner, note]


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"kind": "Popen", "args": ["x"]}, "of kind 'Popen'; known are Cumulative, F"),
        ({"kind": "Term"}, "of kind 'Term'"),
        ({}, "of kind None"),
        ({"kind": "Smooth", "column": "x", "zeta": 1}, "a term Smooth .*zeta"),
        ({"kind": "Smooth"}, "a term Smooth .*column"),
        ({"kind": "PCA", "zeta": 1}, "a term PCA"),
    ],
)
def test_unknown_states_are_named_errors(state, message):
    with pytest.raises(PersistenceError, match=message):
        t.term_from_state(state)


def test_all_is_sorted():
    upper = [n for n in t.__all__ if n[0].isupper()]
    assert set(t.__all__) == set(upper) | {"term_from_state", "term_to_state", "walk"}
