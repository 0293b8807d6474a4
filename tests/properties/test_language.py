"""Properties of the language: round trips; formulaic is the oracle of the algebra."""

import string

from formulaic import Formula
from formulaic.parser import DefaultFormulaParser
from hypothesis import given
from hypothesis import strategies as st

from semistruct._core import terms as t
from semistruct.design import format_terms, parse_formula
from semistruct.design._wilkinson import parse_parametric
from semistruct.exceptions import FormulaError

names = st.one_of(
    st.sampled_from(["x", "age", "left eye", "s", "class", "größe", "it's", "a.b"]),
    st.text(min_size=1, max_size=8).filter(str.strip),
)
by = st.none() | names
numbers = st.none() | st.floats(0, 1e6) | st.integers(0, 10**6)
encoders = st.none() | st.sampled_from(["cnn", "mlp"])

several_names = st.lists(names, min_size=2, max_size=3, unique=True).map(tuple)
bases = st.sampled_from(["ps", "cr", "cc", "tp", "mpi", "mpd"])
margins = st.sampled_from(["ps", "cr", "cc", "tp"])
sizes_of_margins = st.integers(4, 9)


def _one_or_each(values, count):
    return values | st.tuples(*[values] * count)


structured = st.one_of(
    st.builds(
        t.Smooth, names, k=st.none() | st.integers(4, 50), bs=bases, by=by, sp=numbers
    ),
    st.builds(
        t.Smooth,
        several_names,
        k=st.none() | st.integers(11, 50),
        bs=st.just("tp"),
        by=by,
        sp=numbers,
    ),
    st.lists(names, min_size=2, max_size=4, unique=True).flatmap(
        lambda columns: st.builds(
            t.Tensor,
            st.just(tuple(columns)),
            k=_one_or_each(sizes_of_margins, len(columns)),
            bs=_one_or_each(margins, len(columns)),
            by=by,
            sp=st.none() | st.tuples(*[st.floats(0, 1e6)] * len(columns)),
            interaction=st.booleans(),
            np=st.booleans(),
        )
    ),
    st.builds(t.RandomEffect, names, by, sp=numbers),
    st.builds(t.Offset, names),
)
several = st.lists(names, min_size=1, max_size=3).map(tuple)
sizes = st.none() | st.integers(1, 512) | st.tuples(*[st.integers(1, 512)] * 2)
flat = st.one_of(
    st.builds(t.Image, names, encoder=encoders, size=sizes, by=by),
    st.builds(t.Text, names, encoder=encoders, by=by),
    st.builds(t.Omics, several, encoder=encoders, by=by),
    st.builds(t.Tabular, several, encoder=encoders, by=by),
    st.builds(t.Pretrained, names, names),
)
deep = st.recursive(
    flat,
    lambda inner: st.one_of(
        st.builds(
            t.Fuse,
            st.lists(inner, min_size=2, max_size=3).map(tuple),
            how=st.sampled_from(["concat", "gated", "max"]),
            by=by,
        ),
        st.builds(t.PCA, inner, st.integers(1, 99)),
    ),
    max_leaves=5,
)


@given(st.lists(structured | deep, min_size=1, max_size=4, unique_by=lambda v: v.label))
def test_terms_to_text_and_back(terms) -> None:
    terms = [t.Linear("age + C(stage) - 1"), *terms]
    assert parse_formula(format_terms(terms)) == tuple(terms)


factors = st.sampled_from(["a", "b", "c", "C(g)", "np.log(d)"])


def _combine(inner):
    pair = st.tuples(inner, inner)
    return st.one_of(
        pair.map(lambda v: f"({v[0]} + {v[1]})"),
        pair.map(lambda v: f"({v[0]} - {v[1]})"),
        pair.map(lambda v: f"{v[0]}:{v[1]}"),
        pair.map(lambda v: f"({v[0]}*{v[1]})"),
        pair.map(lambda v: f"({v[0]} + {v[1]} + e + f)**2"),
    )


expressions = st.recursive(factors, _combine, max_leaves=5)
formulas = st.lists(
    st.tuples(st.sampled_from(["+", "-"]), expressions | st.just("1")), max_size=4
).map(lambda items: "a" + "".join(f" {sign} {item}" for sign, item in items))


@given(formulas)
def test_the_algebra_is_formulaic_s(text) -> None:
    parser = DefaultFormulaParser(feature_flags=set())
    expected = list(Formula(text, _parser=parser))
    ours = parse_parametric(text)
    mine = sorted([":".join(keys) for keys in ours.terms], key=lambda k: k.count(":"))
    assert mine == [str(term) for term in expected if str(term) != "1"]
    assert ours.intercept == any(str(term) == "1" for term in expected)


@given(st.sampled_from(["a/b", "a/b/c", "(a + b)/c", "a/(b + c)", "a/C(g) - a"]))
def test_nesting_is_formulaic_s(text) -> None:
    test_the_algebra_is_formulaic_s.hypothesis.inner_test(text)


@given(st.text(alphabet=string.printable + "é`~:", max_size=60))
def test_any_text_parses_or_is_a_formula_error(text) -> None:
    try:
        terms = parse_formula(text)
    except FormulaError:
        return
    assert parse_formula(format_terms(terms)) == terms
