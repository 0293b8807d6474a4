"""Late fusion: members that are fitted apart and speak together."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import approx_fprime
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    StratifiedKFold,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import parametrize_with_checks

import semistruct as ss
from semistruct.estimators._late_pool import fill_absent, pool, simplex_weights
from semistruct.estimators._late_tasks import (
    Curves,
    Numbers,
    Probabilities,
    Risks,
    brier_times,
)
from semistruct.exceptions import DataError, ParameterError, TargetError
from semistruct.solvers import fit_cox


def table(n: int = 150, seed: int = 0) -> pd.DataFrame:
    return pd.DataFrame(
        np.random.default_rng(seed).normal(size=(n, 3)), columns=["a", "b", "c"]
    )


def numbers(n: int = 150, seed: int = 0):
    X = table(n, seed)
    noise = np.random.default_rng(seed + 1).normal(size=n)
    return X, X["a"].to_numpy() + 0.5 * X["b"].to_numpy() + 0.5 * noise


def labels(n: int = 150, k: int = 2):
    X, y = numbers(n)
    return X, np.array(list("uvw"))[np.digitize(y, np.linspace(-1, 1, k - 1))]


def times(n: int = 150, **fields):
    X = table(n)
    rng = np.random.default_rng(5)
    rate = np.exp(0.9 * X["a"] + 0.4 * X["b"]).to_numpy()
    time, censored = rng.exponential(1 / rate), rng.exponential(2.0, size=n)
    fields = {k: v(n) for k, v in fields.items()}
    return X, ss.Surv(np.minimum(time, censored), time <= censored, **fields)


def members(kind, *columns):
    return [(c + "_", kind(c)) for c in columns or ("a", "b")]


Reg, Cls, Sur = (
    ss.SemiStructuredRegressor,
    ss.SemiStructuredClassifier,
    ss.SemiStructuredSurvival,
)


def of_columns(estimator, *columns):
    """A scikit-learn estimator of some columns."""
    return make_pipeline(ColumnTransformer([("x", "passthrough", columns)]), estimator)


# -- the same as scikit-learn, where it has it ---------------------------------------


def test_mean_of_regressors():
    X, y = numbers()
    both = ss.LateFusion(members(Reg)).fit(X, y)
    oracle = VotingRegressor(members(Reg)).fit(X, y)
    np.testing.assert_allclose(both.predict(X), oracle.predict(X))
    assert both.score(X, y) == pytest.approx(oracle.score(X, y))
    assert both.weights_.to_dict() == {"a_": 0.5, "b_": 0.5}


@pytest.mark.parametrize("k", [2, 3])
def test_mean_and_vote_of_classifiers(k):
    X, y = labels(k=k)
    mean = ss.LateFusion(members(Cls)).fit(X, y)
    soft = VotingClassifier(members(Cls), voting="soft").fit(X, y)
    np.testing.assert_allclose(mean.predict_proba(X), soft.predict_proba(X))
    np.testing.assert_array_equal(mean.predict(X), soft.predict(X))
    vote = ss.LateFusion(members(Cls, "a", "b", "c"), how="vote").fit(X, y)
    hard = VotingClassifier(members(Cls, "a", "b", "c")).fit(X, y)
    np.testing.assert_array_equal(vote.predict(X), hard.predict(X))
    assert vote.score(X, y) == hard.score(X, y)
    np.testing.assert_allclose(vote.predict_proba(X).sum(axis=1), 1)


def test_stacked_regressors():
    X, y = numbers()
    cv = KFold(4, shuffle=True, random_state=1)
    stack = ss.LateFusion(members(Reg), how="stack", meta=Ridge(), cv=cv).fit(X, y)
    oracle = StackingRegressor(members(Reg), Ridge(), cv=cv).fit(X, y)
    np.testing.assert_allclose(stack.predict(X), oracle.predict(X))
    assert ss.LateFusion(members(Reg), how="stack").fit(X, y).score(X, y) > 0.7


@pytest.mark.parametrize("k", [2, 3])
def test_stacked_classifiers(k):
    X, y = labels(k=k)
    cv = StratifiedKFold(4, shuffle=True, random_state=1)
    meta = LogisticRegression(C=1e6, max_iter=1000, tol=1e-8)
    stack = ss.LateFusion(members(Cls), how="stack", meta=meta, cv=cv).fit(X, y)
    if k == 2:
        oracle = StackingClassifier(members(Cls), meta, cv=cv).fit(X, y)
        np.testing.assert_allclose(stack.predict_proba(X), oracle.predict_proba(X))
    columns = ["a_", "b_"] if k == 2 else ["a__1", "a__2", "b__1", "b__2"]
    assert list(stack.meta_.feature_names_in_) == columns
    np.testing.assert_array_equal(stack.classes_, np.unique(y))
    assert set(stack.predict(X)) <= set(y)


# -- losses and weights --------------------------------------------------------------


def tasks():
    X, y = times(40, weights=lambda n: np.random.default_rng(0).uniform(0.5, 2, n))
    strata = times(40, strata=lambda n: np.arange(n) % 2)[1]
    entry = ss.Surv(y.time + 1, y.event, entry=np.linspace(0, 0.9, 40))
    tied = ss.Surv(np.ceil(4 * y.time), y.event)
    rng = np.random.default_rng(3)
    chances = rng.dirichlet(np.ones(3), size=(2, 40))
    curves = np.sort(rng.uniform(0.1, 0.9, size=(2, 40, 50)), axis=2)[:, :, ::-1]
    risks = rng.normal(size=(2, 40, 1)) + 0.5 * X["a"].to_numpy()[:, None]
    return [
        (Numbers(numbers(40)[1]), rng.normal(size=(2, 40, 1))),
        (Probabilities(labels(40, 3)[1]), chances),
        (Risks(y), risks),
        (Risks(strata), risks),
        (Risks(entry), risks),
        (Risks(tied), risks),
        (Curves(y, brier_times(y)), curves),
    ]


@pytest.mark.parametrize("at", range(7))
def test_derivatives_of_losses(at):
    task, said = tasks()[at]
    rows, weight = np.arange(40), None if at > 1 else np.linspace(0.5, 2, 40)
    value, slope = task.loss(said[0], rows, weight)
    shape = said[0].shape
    numeric = approx_fprime(
        said[0].ravel(), lambda f: task.loss(f.reshape(shape), rows, weight)[0], 1e-6
    )
    assert np.isfinite(value)
    np.testing.assert_allclose(slope.ravel(), numeric, rtol=2e-4, atol=2e-5)


def test_losses_are_those_of_the_metrics():
    _, y = times(60)
    grid = brier_times(y)
    survival = np.exp(-np.outer(np.linspace(0.5, 2, 60), grid))
    score = ss.metrics.integrated_brier_score(y, y, survival, grid)
    value = Curves(y, grid).loss(survival, np.arange(60), None)[0]
    assert value == pytest.approx(score.estimate)
    risk = np.random.default_rng(0).normal(size=(60, 1))
    best = fit_cox(risk, y.time, y.event)
    if best.coef[0] < 0:
        risk = -risk
    value, slope = Risks(y).loss(risk, np.arange(60), None)
    assert value == pytest.approx(-best.loglik / y.event.sum())
    assert slope @ np.ones(1) @ risk[:, 0] == pytest.approx(0, abs=1e-8)
    # a risk the wrong way round is worth nothing, not its opposite
    null = fit_cox(np.empty((60, 0)), y.time, y.event).loglik
    assert Risks(y).loss(-risk, np.arange(60), None)[0] == pytest.approx(
        -null / y.event.sum()
    )


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("at", [0, 1, 2, 6])
def test_weights_are_the_best_of_a_grid(at, gaps):
    task, said = tasks()[at]
    present = np.ones((2, 40), dtype=bool)
    if gaps:
        present[0, ::5] = present[1, 1::5] = False
    rows = np.arange(40)

    def loss(pooled):
        return task.loss(pooled, rows, None)

    found = simplex_weights(said, present, loss)
    grid = np.linspace(0, 1, 401)
    values = [loss(pool(said, present, np.array([w, 1 - w])))[0] for w in grid]
    assert found.sum() == pytest.approx(1)
    assert (found >= 0).all()
    assert loss(pool(said, present, found))[0] <= min(values) + 1e-6
    if np.ptp(values) > 1e-3:
        assert found[0] == pytest.approx(grid[np.argmin(values)], abs=0.02)


def test_a_member_of_noise_has_no_weight():
    X, y = numbers(300)
    both = ss.LateFusion(members(Reg, "a + b", "c"), how="weighted", random_state=0)
    both.fit(X, y)
    assert both.weights_["a + b_"] > 0.97
    losses = both.losses_
    assert losses["together"] <= losses.drop("together").min() + 1e-12
    one = ss.LateFusion(members(Reg, "a"), how="weighted").fit(X, y)
    assert one.weights_.tolist() == [1.0]


def test_weights_of_every_task():
    for kind, (X, y), options in (
        (Cls, labels(200, 3), {}),
        (Sur, times(200), {"average": "risk"}),
        (Sur, times(200), {"average": "survival"}),
    ):
        both = ss.LateFusion(
            members(kind, "a", "c"), how="weighted", random_state=0, **options
        ).fit(X, y)
        assert both.weights_["a_"] > 0.8
        assert both.losses_["together"] <= both.losses_["a_"] + 1e-9
        text = str(both.summary())
        assert "a_" in text
        assert "held-out" in text


# -- no leak, groups, weights of cases -----------------------------------------------


class Spy(RegressorMixin, BaseEstimator):
    """Remembers which rows it was fitted to, and refuses to be asked about them."""

    def __init__(self, log=None):
        self.log = log

    def __sklearn_clone__(self):
        return Spy(self.log)  # one log for all clones

    def fit(self, X, y, sample_weight=None, groups=None):
        self.rows_ = set(X["a"])
        self.log.append((self.rows_, groups))
        return self

    def predict(self, X):
        if len(self.rows_) < 40:
            assert not self.rows_ & set(X["a"])
        return X["a"].to_numpy()


@pytest.mark.parametrize("how", ["weighted", "stack"])
def test_held_out_rows_are_held_out_and_groups_are_not_torn(how):
    X, y = numbers(40)
    groups = np.repeat(np.arange(10), 4)
    log: list = []
    fusion = ss.LateFusion([("spy", Spy(log)), ("b", Reg("b"))], how=how, cv=5)
    fusion.fit(X, y, groups=groups)
    assert len(log) == 6
    of_row = dict(zip(X["a"], groups, strict=True))
    for rows, given in log[:-1]:
        inside = {of_row[r] for r in rows}
        outside = {g for r, g in of_row.items() if r not in rows}
        assert not inside & outside
        assert len(given) == len(rows) == 32
    assert len(log[-1][0]) == 40


def test_ids_of_survival_are_groups():
    X, y = times(80, id=lambda n: np.arange(n) // 4)
    sizes = []

    class Split(GroupKFold):
        def split(self, X, y=None, groups=None):
            sizes.append(len(np.unique(groups)))
            return super().split(X, y, groups)

    ss.LateFusion(members(Sur), how="stack", cv=Split(4)).fit(X, y)
    assert sizes == [20]


def test_folds_are_stratified_and_seeded():
    X, y = labels(60)
    rare = np.where(np.arange(60) % 6 == 0, "u", "v")
    log = []

    class Counting(LogisticRegression):
        def fit(self, X, y, sample_weight=None):
            log.append((y == "u").mean())
            return super().fit(X, y)

    both = ss.LateFusion([("a", Counting())], how="stack", cv=5, random_state=3)
    both.fit(X, rare)
    assert np.ptp(log) < 1e-9
    again = clone(both).fit(X, rare)
    np.testing.assert_array_equal(both.predict_proba(X), again.predict_proba(X))
    assert len(y) == 60


def test_weights_of_cases_are_repetition():
    X, y = numbers(60)
    weight = np.random.default_rng(0).integers(1, 4, size=60)
    rows = np.repeat(np.arange(60), weight)
    a = ss.LateFusion(members(Reg)).fit(X, y, sample_weight=weight)
    b = ss.LateFusion(members(Reg)).fit(X.iloc[rows], y[rows])
    np.testing.assert_allclose(a.predict(X), b.predict(X))
    weighted = ss.LateFusion(members(Reg), how="weighted", random_state=0)
    plain = clone(weighted).fit(X, y)
    weighted.fit(X, y, sample_weight=np.where(X["a"] > 0, 10.0, 0.1))
    assert abs(plain.weights_["a_"] - weighted.weights_["a_"]) > 1e-3
    Xs, ys = times(60)
    a = ss.LateFusion(members(Sur), average="risk").fit(Xs, ys, sample_weight=weight)
    b = ss.LateFusion(members(Sur), average="risk").fit(Xs.iloc[rows], ys[rows])
    np.testing.assert_allclose(a.predict(Xs), b.predict(Xs), atol=0.05)


def test_a_member_without_weights_is_named():
    X, y = numbers(40)
    fusion = ss.LateFusion([("pipe", of_columns(Ridge(), "a"))])
    with pytest.raises(ParameterError, match=r"'pipe' \(Pipeline\) takes no weights"):
        fusion.fit(X, y, sample_weight=np.ones(40))


# -- members that are absent ---------------------------------------------------------


def gappy(n: int = 120):
    """Member a is absent in the first 20 rows, member b in the next 10."""
    X, y = numbers(n)
    X.loc[:19, "a"] = np.nan
    X.loc[20:29, "b"] = np.nan
    return X, y


@pytest.mark.parametrize("how", ["mean", "weighted", "stack"])
def test_a_member_that_is_absent_is_left_out(how):
    X, y = gappy()
    both = ss.LateFusion(members(Reg), how=how, random_state=0).fit(X, y)
    alone = {
        "a_": Reg("a").fit(X.iloc[20:], y[20:]),
        "b_": Reg("b").fit(X.drop(index=range(20, 30)), np.delete(y, np.s_[20:30])),
    }
    said = both.contributions(X)
    assert said["a_"].isna().tolist() == [True] * 20 + [False] * 100
    np.testing.assert_allclose(said["a_"][20:], alone["a_"].predict(X[20:]))
    np.testing.assert_allclose(said["b_"][:20], alone["b_"].predict(X[:20]))
    assert both.n_present_.to_dict() == {"a_": 100, "b_": 110}
    if how == "stack":
        filled = said.apply(lambda row: row.fillna(row.mean()), axis=1)
        np.testing.assert_allclose(both.predict(X), both.meta_.predict(filled))
        return
    np.testing.assert_allclose(both.predict(X)[:20], said["b_"][:20])
    np.testing.assert_allclose(both.predict(X)[20:30], said["a_"][20:30])
    share = both.member_weights(X)
    np.testing.assert_allclose(share.sum(axis=1), 1)
    np.testing.assert_allclose(share.iloc[30], both.weights_)
    np.testing.assert_allclose((share * said.fillna(0)).sum(axis=1), both.predict(X))


def test_a_member_of_weight_zero_speaks_where_it_is_alone():
    said = np.array([[[1.0], [1.0]], [[5.0], [5.0]]])
    present = np.array([[True, False], [True, True]])
    assert pool(said, present, np.array([1.0, 0.0])).ravel().tolist() == [1.0, 5.0]
    assert fill_absent(said, present)[0].ravel().tolist() == [1.0, 5.0]


def test_a_row_about_which_no_one_speaks_is_named():
    X, y = numbers(50)
    both = ss.LateFusion(members(Reg)).fit(X, y)
    gaps = X.set_axis([f"p{i}" for i in range(50)]).astype(float)
    gaps.loc[["p7", "p9"], ["a", "b"]] = np.nan
    with pytest.raises(DataError, match=r"2 row\(s\), the first 'p7'"):
        both.predict(gaps)
    with pytest.raises(DataError, match="no member"):
        both.fit(gaps, y)
    with pytest.raises(DataError, match="no member"):
        both.predict(X[["c"]])
    empty = X.assign(b=np.nan)
    with pytest.raises(DataError, match="'b_' has nothing to read"):
        both.fit(empty, y)


def test_images_and_tables(regression):
    X, y = regression.X.copy(), regression.y
    X.loc[X.index[:15], "scan"] = None
    fusion = ss.LateFusion(
        [
            ("tab", regression.make("age + C(stage)")),
            ("img", regression.make("image(scan)")),
            ("pc", regression.make("pca(image(scan), 3)")),
        ]
    ).fit(X, y)
    said = fusion.contributions(X)
    assert said.isna().sum().to_dict() == {"tab": 0, "img": 15, "pc": 15}
    whole = fusion.predict(X)
    np.testing.assert_allclose(whole[:15], said["tab"].iloc[:15])
    alone = fusion.predict(X.drop(columns="scan"))
    np.testing.assert_allclose(alone, said["tab"])
    # a member with a table of its own speaks without the image
    mixed = ss.LateFusion([("both", regression.make("age + image(scan)"))]).fit(X, y)
    assert not mixed.contributions(X).isna().any(axis=None)
    assert set(fusion.feature_names_in_) == {"age", "stage", "scan"}


# -- survival ------------------------------------------------------------------------


def test_mean_of_risks_and_of_curves():
    X, y = times()
    a, b = (Sur(c).fit(X, y) for c in "ab")
    risk = ss.LateFusion(members(Sur), average="risk").fit(X, y)
    literal = sum(
        (m.predict(X) - m.predict(X).mean()) / m.predict(X).std() for m in (a, b)
    )
    np.testing.assert_allclose(risk.predict(X), literal / 2)
    curve = ss.LateFusion(members(Sur)).fit(X, y)
    found = curve.predict_survival_function(X)
    grid = np.unique(y.time[y.event])
    np.testing.assert_array_equal(found.times, grid)
    expected = sum(m.predict_survival_function(X, times=grid).values for m in (a, b))
    np.testing.assert_allclose(found.values, expected / 2)
    area = [
        np.trapezoid(np.repeat(s, 2)[:-1], np.repeat(np.r_[0, grid], 2)[1:])
        for s in np.column_stack([np.ones(len(X)), found.values[:, :]])[:3]
    ]
    np.testing.assert_allclose(-curve.predict(X)[:3], area)
    some = curve.predict_survival_function(X, times=[0.5, 0.2])
    np.testing.assert_allclose(some.values, found([0.2, 0.5]), atol=1e-12)
    for fusion in (risk, curve):
        assert fusion.score(X, y) > a.score(X, y) - 0.02
        assert not hasattr(fusion, "predict_proba")
    np.testing.assert_allclose(
        curve.contributions(X)["a_"][:3], _restricted(a, X, grid)[:3]
    )


def _restricted(model, X, grid):
    curve = model.predict_survival_function(X, times=grid)
    return grid[0] + curve.values[:, :-1] @ np.diff(grid)


@pytest.mark.parametrize("how", ["weighted", "stack"])
def test_a_cox_model_of_held_out_risks(how):
    X, y = times(300)
    both = ss.LateFusion(
        members(Sur, "a", "b", "c"), how=how, average="risk", random_state=0
    ).fit(X, y)
    single = Sur("a + b").fit(X, y)
    assert both.score(X, y) > single.score(X, y) - 0.01
    curve = both.predict_survival_function(X, times=[0.2, 0.5, 1.0])
    assert (np.diff(curve.values, axis=1) <= 0).all()
    own = single.predict_survival_function(X, times=[0.2, 0.5, 1.0])
    assert np.corrcoef(curve.values[:, 1], own.values[:, 1])[0, 1] > 0.97
    if how == "stack":
        assert isinstance(both.meta_, Sur)
        coef = dict(zip(both.meta_.params_.index, both.meta_.coef_, strict=True))
        assert coef["a_"] > coef["b_"] > abs(coef["c_"])
        assert "second learner" in str(both.summary())
        with pytest.raises(ParameterError, match="'mean', 'weighted' or 'vote'"):
            both.member_weights(X)


def test_strata_and_other_heads():
    X, y = times(strata=lambda n: np.arange(n) % 2)
    both = ss.LateFusion(members(Sur)).fit(X, y)
    curve = both.predict_survival_function(X, y.strata)
    parts = [
        Sur(c).fit(X, y).predict_survival_function(X, y.strata, times=curve.times)
        for c in "ab"
    ]
    np.testing.assert_allclose(curve.values, sum(p.values for p in parts) / 2)
    with pytest.raises(DataError, match="strata has 3 rows"):
        both.predict_survival_function(X, y.strata[:3])
    X, y = times()
    mixed = ss.LateFusion(
        [("cox", Sur("a")), ("weibull", Sur("a", head="weibull"))], how="weighted"
    ).fit(X, y)
    assert mixed.score(X, y) == pytest.approx(Sur("a").fit(X, y).score(X, y))


def test_what_survival_cannot_do_is_named():
    X, y = times()
    risk = ss.LateFusion(members(Sur), average="risk").fit(X, y)
    with pytest.raises(ParameterError, match="has no baseline hazard"):
        risk.predict_survival_function(X)
    with pytest.raises(ParameterError, match="Votes are for classes"):
        ss.LateFusion(members(Sur), how="vote").fit(X, y)
    late = ss.Surv(y.time + 1, y.event, entry=np.full(len(y), 0.5))
    with pytest.raises(TargetError, match="average='risk'"):
        ss.LateFusion(members(Sur), how="weighted").fit(X, late)
    ss.LateFusion(members(Sur), how="weighted", average="risk").fit(X, late)
    causes = ss.Surv(y.time, y.event, cause=np.arange(len(y)) % 2)
    with pytest.raises(TargetError, match="several causes"):
        ss.LateFusion(members(Sur)).fit(X, causes)
    with pytest.raises(TargetError, match="has no event"):
        ss.LateFusion(members(Sur)).fit(X, ss.Surv(y.time, np.zeros(len(y))))
    heavy = ss.Surv(y.time, y.event, weights=np.ones(len(y)))
    with pytest.raises(TargetError, match="give one"):
        ss.LateFusion(members(Sur)).fit(X, heavy, sample_weight=np.ones(len(y)))
    with pytest.raises(DataError, match="X has 149 rows, but y has 150"):
        ss.LateFusion(members(Sur)).fit(X[:149], y)
    one = ss.Surv(np.ones(len(y)), np.ones(len(y)))
    with pytest.raises(TargetError, match="fewer than two distinct"):
        ss.LateFusion(members(Sur), how="weighted").fit(X, one)
    both = ss.LateFusion(members(Sur)).fit(X, y)
    with pytest.raises(ParameterError, match="finite numbers >= 0"):
        both.predict_survival_function(X, times=[-1.0])
    inside = make_pipeline(ColumnTransformer([("x", "passthrough", ["a"])]), Sur())
    with pytest.raises(ParameterError, match="average='risk' asks for risks only"):
        ss.LateFusion([("pipe", inside)]).fit(X, y).predict(X)


# -- life ----------------------------------------------------------------------------


def test_parameters_reach_into_members():
    fusion = ss.LateFusion(
        [("tab", Reg("a")), ("img", Reg("image(scan)"))], how="stack", meta=Ridge()
    )
    params = fusion.get_params()
    assert params["tab__terms"] == "a"
    assert params["img__scan__width"] == 16
    assert params["meta__alpha"] == 1.0
    fusion.set_params(tab__terms="b", img__scan__width=4, meta__alpha=2.0, cv=3)
    assert fusion.estimators[0][1].terms == "b"
    assert fusion.estimators[1][1].encoders["scan"].width == 4
    assert (fusion.meta.alpha, fusion.cv) == (2.0, 3)
    fusion.set_params(tab=Ridge())
    assert isinstance(fusion.estimators[0][1], Ridge)
    with pytest.raises(ParameterError, match="Did you mean 'tab__alpha'"):
        fusion.set_params(tab_alpha=1)
    assert "tab" not in fusion.get_params(deep=False)


def test_cloned_pickled_and_searched():
    X, y = numbers(90)
    fusion = ss.LateFusion(members(Reg), how="weighted", random_state=0)
    fitted = clone(fusion).fit(X, y)
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(fitted)).predict(X), fitted.predict(X)
    )
    assert not hasattr(fusion, "members_")
    search = GridSearchCV(fusion, {"a___terms": ["c", "a"]}, cv=3).fit(X, y)
    assert search.best_params_ == {"a___terms": "a"}
    assert cross_val_score(fusion, X, y, cv=3).mean() > 0.4
    Xs, ys = times(90)
    scores = cross_val_score(ss.LateFusion(members(Sur)), Xs, ys, cv=3)
    assert scores.mean() > 0.6
    # what another way has learned is forgotten
    fitted.set_params(how="mean").fit(X, y)
    assert not hasattr(fitted, "losses_")


def test_any_of_scikit_learn_is_a_member():
    X, y = numbers()
    fusion = ss.LateFusion(
        [("ridge", of_columns(Ridge(), "a")), ("gam", ss.GAM("s(b)"))]
    )
    assert fusion.fit(X, y).score(X, y) > 0.3
    assert isinstance(fusion.named_estimators_["gam"], ss.GAM)
    array = ss.LateFusion([("l", LinearRegression()), ("r", Ridge())])
    array.fit(X.to_numpy(), y)
    assert array.n_features_in_ == 3
    np.testing.assert_allclose(
        array.predict(X.to_numpy()),
        VotingRegressor(array.estimators).fit(X.to_numpy(), y).predict(X.to_numpy()),
    )


def test_contributions_of_classes():
    X, y = labels(k=2)
    both = ss.LateFusion(members(Cls)).fit(X, y)
    said = both.contributions(X)
    np.testing.assert_allclose(said.mean(axis=1), both.predict_proba(X)[:, 1])
    X, y = labels(k=3)
    said = ss.LateFusion(members(Cls)).fit(X, y).contributions(X)
    assert said["a_"].columns.tolist() == ["u", "v", "w"]


# -- errors --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"how": "mode"}, "parameter 'how' of LateFusion"),
        ({"average": "hazard"}, "parameter 'average' of LateFusion"),
        ({"how": "vote"}, "'mean', 'weighted' or 'stack' for a regressor"),
        ({"cv": 1}, "parameter 'cv' of LateFusion"),
        ({"how": "stack", "meta": "ridge"}, "parameter 'meta' of LateFusion"),
        ({"estimators": []}, "a list of pairs"),
        ({"estimators": [("a", Ridge)]}, "a list of pairs"),
        ({"estimators": Ridge()}, "a list of pairs"),
        ({"estimators": [("a", Reg()), ("a", Reg())]}, "two members 'a'"),
        ({"estimators": [("how", Reg())]}, "none of"),
        ({"estimators": [("a__b", Reg())]}, "none of"),
        ({"estimators": [("a", Reg()), ("b", Cls())]}, "all classifiers, all reg"),
        ({"how": "weighted", "cv": 999}, "cannot split"),
    ],
)
def test_parameters_are_checked(options, words):
    X, y = numbers(40)
    options = {"estimators": members(Reg), **options}
    error = DataError if "cannot" in words else ParameterError
    with pytest.raises(error, match=words):
        ss.LateFusion(**options).fit(X, y)


def test_members_that_do_not_fit_are_named():
    X, y = labels(60)
    with pytest.raises(ParameterError, match=r"how='vote' asks for classes only"):
        ss.LateFusion([("svc", LinearSVC())], how="weighted").fit(X, y)
    ss.LateFusion([("svc", LinearSVC())], how="vote").fit(X, y).predict(X)
    with pytest.raises(TargetError, match="one class only"):
        ss.LateFusion(members(Cls)).fit(X, np.repeat("u", 60))
    scale = ss.LateFusion([("c", Reg("a", family="categorical"))])
    with pytest.raises(ParameterError, match="one number for each row"):
        scale.fit(X, (y == "v").astype(int)).predict(X)


def test_a_class_that_a_fold_lacks():
    X, y = labels(60)
    y = y.astype("<U4")
    y[0] = "rare"
    with pytest.warns(UserWarning, match="least populated class"):
        both = ss.LateFusion(
            [("l", LogisticRegression())], how="weighted", random_state=0
        ).fit(X, y)
    assert both.predict_proba(X).shape == (60, 3)


TOO_FEW_ROWS = {
    "check_sample_weight_equivalence_on_dense_data": (
        "The check fits 30 columns to 15 rows, which a semi-structured member without "
        "a penalty refuses; see tests/contracts/test_sklearn.py."
    )
}


def expected(estimator):
    own = any(isinstance(member, Reg) for _, member in estimator.estimators)
    return TOO_FEW_ROWS if own else {}


@parametrize_with_checks(
    [
        ss.LateFusion([("l", LinearRegression()), ("s", Reg())]),
        ss.LateFusion([("l", LogisticRegression()), ("m", LogisticRegression(C=0.1))]),
    ],
    expected_failed_checks=expected,
)
def test_estimator_checks(estimator, check):
    check(estimator)
