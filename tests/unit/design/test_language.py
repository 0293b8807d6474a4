"""The language: each call, each error, and the text of terms."""

import pytest

from semistruct._core import terms as t
from semistruct.design import (
    format_terms,
    parse_formula,
    quote_column,
    structured_columns,
    term_to_text,
)
from semistruct.exceptions import FormulaError, ParameterError


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("age + C(stage)", [t.Linear("age + C(stage)")]),
        ("s(x)", [t.Smooth("x")]),
        ("1", [t.Linear("1")]),
        ("s(x) + age - 1", [t.Linear("age - 1"), t.Smooth("x")]),
        ("s(x) - 1", [t.Linear("-1"), t.Smooth("x")]),
        ("-1+x", [t.Linear("-1 + x")]),
        ("a + -1", [t.Linear("a - 1")]),
        ("a*b - a:b", [t.Linear("a*b - a:b")]),
        (
            "s(x, k=20, bs='ps', by=g, sp=0.5)",
            [t.Smooth("x", k=20, by="g", sp=0.5)],
        ),
        ("s (x, bs=ps)", [t.Smooth("x")]),
        ("te(x, z, k=6, sp=[1, 2.5])", [t.Tensor(("x", "z"), k=6, sp=(1, 2.5))]),
        ("ti(x, z)", [t.Tensor(("x", "z"), interaction=True)]),
        ("s(x, z, bs='tp', k=40)", [t.Smooth(("x", "z"), k=40, bs="tp")]),
        ("s('left eye', bs=cc)", [t.Smooth("left eye", bs="cc")]),
        (
            "te(x, z, bs=('cr', ps), k=[6, 4], np=True)",
            [t.Tensor(("x", "z"), k=(6, 4), bs=("cr", "ps"), np=True)],
        ),
        ("re(g)", [t.RandomEffect("g")]),
        ("re(g, x, sp=2)", [t.RandomEffect("g", "x", sp=2)]),
        ("re(g, slope=x)", None),
        ("offset(x)", [t.Offset("x")]),
        (
            "image(scan, encoder='cnn', size=64)",
            [t.Image("scan", encoder="cnn", size=64)],
        ),
        ("image('left eye', size=(8, 9))", [t.Image("left eye", size=(8, 9))]),
        ("image(`left eye`, by=`a b`)", [t.Image("left eye", by="a b")]),
        ("text(note)", [t.Text("note")]),
        (
            "omics('rna_*', 'cnv_*', encoder=mlp)",
            [t.Omics(("rna_*", "cnv_*"), encoder="mlp")],
        ),
        ("tabular(a, b)", [t.Tabular(("a", "b"))]),
        (
            "fuse(image(scan), omics('rna_*'), how='gated')",
            [t.Fuse((t.Image("scan"), t.Omics(("rna_*",))), how="gated")],
        ),
        ("pca(image(scan), 20)", [t.PCA(t.Image("scan"), 20)]),
        ("pca(image(scan), n_components=5)", [t.PCA(t.Image("scan"), 5)]),
        ("pretrained('resnet18', scan)", [t.Pretrained("resnet18", "scan")]),
        ("s + te + image", [t.Linear("s + te + image")]),
        ("s(s)", [t.Smooth("s")]),
        ("\n  age\n  + s(\n bmi,\n k=5)\n", [t.Linear("age"), t.Smooth("bmi", k=5)]),
        ("np.log(x - 1) + s(z)", [t.Linear("np.log(x - 1)"), t.Smooth("z")]),
        ("`a + s(b)` + c", [t.Linear("`a + s(b)` + c")]),
    ],
)
def test_parse(text, terms) -> None:
    if terms is None:
        with pytest.raises(FormulaError):
            parse_formula(text)
        return
    assert parse_formula(text) == tuple(terms)


@pytest.mark.parametrize(
    ("text", "message", "at"),
    [
        ("y ~ x", "y goes to fit", "~"),
        ("y ~ s(x)", "y goes to fit", "~"),
        ("y = x", "left side", "="),
        ("a + .", "does not stand for all columns", "."),
        ("a | b", "'|' is not in the language", "|"),
        ("a %in% b", "'%' is not in the language", "%"),
        ("a ^ b", r"write \*\*", "^"),
        ("s(x):z", "by=x", ":"),
        ("s(x)*z", "by=x", "*"),
        ("image(scan) : age", "by=x", ":"),
        ("z:s(x)", "by=x", "s"),
        ("C(g)*image(scan)", "by=x", "i"),
        ("(a + s(x))**2", "by=x", "s"),
        ("a - s(x)", "cannot be taken out", "s"),
        ("a - image(scan)", "cannot be taken out", "i"),
        ("s(x, kk=3)", "no argument 'kk'.*Did you mean 'k'", "kk"),
        ("s(x, byy=g)", "Did you mean 'by'", "byy"),
        ("image(scan, encodr='cnn')", "Did you mean 'encoder'", "encodr"),
        ("s(x, k='a')", "'k' of s.. must be an integer in .4", "'a'"),
        ("s(x, k=3)", "'k' of s.. must be an integer in .4", "3"),
        ("s(x, k=5.5)", "'k' of s.. must be an integer", "5.5"),
        ("s(x, k=True)", "'k' of s.. must be an integer", "True"),
        ("s(x, bs='pss')", "'bs'.*Did you mean 'ps'", "'pss'"),
        ("s(x, sp=-1)", "'sp' of s.. must be a number", "-1"),
        ("s(x, sp='a')", "'sp' of s.. must be a number", "'a'"),
        ("s(x, by=1)", "by of s.. must be a column name", "1"),
        ("s(1)", "column of s.. must be a column name", "1"),
        ("s(np.log(x))", "column of s.. must be a column name", "np"),
        ("s()", "needs an argument", "s"),
        ("s(x, z)", "one column with bs='ps'.*te.x, z., or s.x, z, bs='tp'", "x"),
        ("s(x, x, bs='tp')", "distinct columns", "x"),
        ("s(x, z, bs='tp', k=3)", "'k' of s.. must be an integer in .4", "3"),
        ("s(x, bs='cc', k=3)", "'k' of s.. must be an integer in .4", "3"),
        ("s(x, bs='cr', k=2)", "'k' of s.. must be an integer in .3", "2"),
        ("s(x, bs='mp')", "'bs'.*Did you mean 'mp[id]'", "'mp'"),
        ("s(x, bs='crr')", "'bs'.*Did you mean 'cr'", "'crr'"),
        ("s(x, bs=('cr', 'ps'))", "'bs' of s..", "("),
        ("s(g, bs='mrf')", r"Smooth\(column, bs='mrf', neighbours=.*list of", "s"),
        ("te(x, z, bs='tpp')", "'bs'.*Did you mean 'tp'", "'tpp'"),
        ("te(x, z, bs='mrf')", "'bs' of te.. must be one of 'ps', 'cr'", "'mrf'"),
        ("te(x, z, bs=('cr', 'mpi'))", "'bs' of te.. must be one of", "("),
        ("te(x, z, bs=('cr',))", "2 bases, one for each column", "("),
        ("ti(x, z, k=(4, 5, 6))", "2 integers, one for each column", "("),
        ("te(x, z, k=(4, 3))", "'k' of te.. must be an integer in .4", "("),
        ("te(x, z, np=1)", "'np' of te.. must be True or False", "1"),
        ("te(x, z, sp=0)", "2 numbers", "0"),
        ("s(x, np=True)", "no argument 'np'", "np"),
        ("te(x)", "at least 2 columns", "te"),
        ("te(x, x)", "distinct", "x, x"),
        ("te(x, z, sp=[1])", "2 numbers", "[1]"),
        ("fuse(image(a))", "at least 2 terms", "fuse"),
        ("fuse(image(a), scan)", "a term such as image", "scan"),
        ("fuse(image(a), s(x))", "deep terms", "s(x)"),
        ("fuse(image(a), image(b), how='gate')", "Did you mean 'gated'", "'gate'"),
        ("pca(image(a), 0)", "'n_components'", "0"),
        ("image(scan, size='a')", "'size' of image", "'a'"),
        ("image(scan, size=0)", "'size' of image", "0"),
        ("s(x) + s(x, k=5)", "twice", "s(x, k"),
        ("s(x, k=5, k=6)", "'k' twice", "k=6"),
        ("x**2", r"write I\(x\*\*2\)", "**"),
        ("(a + b)**c", "power must be an integer", "c"),
        ("2 + x", "Only the numbers 0 and 1", "2"),
        ("2:x", "Only the numbers 0 and 1", "2"),
        ("(a + 1):b", "Only the numbers 0 and 1", "1"),
        ("x - 0", "write '1'", "0"),
        ("a b", "'b' is not expected", "b"),
        ("C (x)", "without a space", "(x"),
        ("a +", "ends where a term", ""),
        ("a + s(x", "never closed", "(x"),
        ("a) + b", "closes nothing", ")"),
        ("s(x] + b", "does not close", "]"),
        ("'a' + b", "backticks", "'a'"),
        ("`a + b", "backtick is never closed", "`"),
        ("s(x) z", "after s()", "z"),
        ("s(x z)", "not a term", ""),
        ("C(x + 1)", "C.. takes a column name", "x"),
        ("C(g, levels='a')", "list of values", "'a'"),
        ("C(g, contr.treat)", "contr.treatment", "contr"),
    ],
)
def test_error_says_what_and_points_at_it(text, message, at) -> None:
    with pytest.raises(FormulaError, match=message) as caught:
        parse_formula(text)
    _, shown, caret = str(caught.value).rsplit("\n", 2)
    assert shown.startswith("    ")
    assert shown[4:] == text
    assert caret.strip() == "^"
    assert text[caret.index("^") - 4 :].startswith(at)


@pytest.mark.parametrize("text", ["", "  \n", 3, None, b"x"])
def test_no_formula(text) -> None:
    with pytest.raises(FormulaError):
        parse_formula(text)


def test_the_caret_stands_right_in_long_and_many_lined_formulas() -> None:
    text = " + ".join(f"column_{i}" for i in range(100)) + " + s(x, kk=1)"
    with pytest.raises(FormulaError) as caught:
        parse_formula(text)
    _, shown, caret = str(caught.value).rsplit("\n", 2)
    assert len(shown) < 200
    assert shown[caret.index("^") :].startswith("kk=1")
    with pytest.raises(FormulaError) as caught:
        parse_formula("größe +\n  s(größe,\n    kk=1)")
    _, shown, caret = str(caught.value).rsplit("\n", 2)
    assert shown[caret.index("^") :] == "kk=1)"


@pytest.mark.parametrize(
    ("term", "text"),
    [
        (t.Smooth("x"), "s(x)"),
        (t.Smooth("left eye", k=5, by="class"), "s('left eye', k=5, by='class')"),
        (t.Tensor(("x", "z"), sp=(1.0, 2.0)), "te(x, z, sp=(1.0, 2.0))"),
        (t.Tensor(("x", "z"), interaction=True), "ti(x, z)"),
        (
            t.Tensor(("x", "z"), k=(6, 4), bs=("cr", "ps"), np=True),
            "te(x, z, k=(6, 4), bs=('cr', 'ps'), np=True)",
        ),
        (t.Smooth(("x", "y z"), bs="tp"), "s(x, 'y z', bs='tp')"),
        (t.Smooth("x", k=10), "s(x, k=10)"),
        (t.RandomEffect("g", "x"), "re(g, x)"),
        (t.Image("scan", encoder="cnn"), "image(scan, encoder='cnn')"),
        (t.PCA(t.Image("scan"), 20), "pca(image(scan), 20)"),
        (t.Pretrained("resnet18", "scan"), "pretrained(resnet18, scan)"),
    ],
)
def test_text_of_a_term(term, text) -> None:
    assert term_to_text(term) == text
    assert parse_formula(text) == (term,)


def test_format_joins_several_parametric_terms() -> None:
    terms = [t.Linear("a"), t.Smooth("x"), t.Linear("-1 + b")]
    assert format_terms(terms) == "a - 1 + b + s(x)"
    with pytest.raises(ParameterError):
        term_to_text("x")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["a`b", "", "__class__"])
def test_names_that_cannot_be_quoted(name) -> None:
    with pytest.raises(FormulaError):
        quote_column(name)


def test_columns_of_terms() -> None:
    terms = parse_formula("a:np.log(`b c`) + s(x, by=a) + fuse(image(i), text(j))")
    assert structured_columns(terms) == ("a", "b c", "x", "i", "j")


def test_neighbours_are_stored_in_order_and_cannot_be_written() -> None:
    one = t.Smooth("g", bs="mrf", neighbours={2: [10], 10: [2, "a"], "a": 10})
    other = t.Smooth("g", bs="mrf", neighbours={"a": [10], 10: ["a", 2], 2: (10,)})
    assert one == other
    assert hash(one) == hash(other)
    assert one.neighbours == ((2, (10,)), (10, (2, "a")), ("a", (10,)))
    assert term_to_text(one) == "s(g, bs='mrf')"
    assert t.term_from_state(t.term_to_state(one)) == one
    assert repr(one) == "Smooth(column='g', k=None, bs='mrf', by=None, sp=None)"


def test_a_surface_has_a_label_and_columns() -> None:
    term = t.Smooth(("x", "z"), bs="tp", by="g")
    assert term.label == "s(x, z):g"
    assert term.columns == ("x", "z", "g")
    assert t.term_from_state(t.term_to_state(term)) == term
