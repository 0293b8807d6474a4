"""Average comparisons against statsmodels and finite differences."""

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.special import expit
from scipy.stats import norm

from semistruct.exceptions import DataError, ParameterError
from semistruct.inference import average_comparison, average_slope

RNG = np.random.default_rng(0)
N = 300
X = np.column_stack([np.ones(N), RNG.normal(size=N), RNG.integers(0, 2, N)])
Y = (RNG.random(N) < expit(X @ [-0.3, 0.8, 0.5])).astype(float)
LOGIT = sm.Logit(Y, X).fit(disp=0, tol=1e-13)


def logistic_mean(eta):
    return expit(eta[:, 0])


def logistic_slope(eta):
    return expit(eta) * expit(-eta)


LINK = (logistic_mean, logistic_slope)


def moved(column, by=None, to=None):
    x = X.copy()
    x[:, column] = x[:, column] + by if to is None else to
    return [x]


def test_slope_equals_margeff():
    peer = LOGIT.get_margeff(at="overall")
    width = 1e-4
    ours = average_slope(
        moved(1, width / 2),
        moved(1, -width / 2),
        width,
        LOGIT.params,
        LOGIT.cov_params(),
        *LINK,
    )
    assert ours.estimate == pytest.approx(peer.margeff[0], rel=1e-6)
    assert ours.std_error == pytest.approx(peer.margeff_se[0], rel=1e-6)
    np.testing.assert_allclose(ours[2:4], peer.conf_int()[0], rtol=1e-6)


def test_dummy_comparison_equals_margeff():
    peer = LOGIT.get_margeff(at="overall", dummy=True)
    ours = average_comparison(
        moved(2, to=1), moved(2, to=0), LOGIT.params, LOGIT.cov_params(), *LINK
    )
    assert ours.estimate == pytest.approx(peer.margeff[1], rel=1e-6)
    assert ours.std_error == pytest.approx(peer.margeff_se[1], rel=1e-6)


def location_scale_mean(eta):
    """Mean of a log-normal, of two linear predictors."""
    return np.exp(eta[:, 0] + 0.5 * np.exp(2 * eta[:, 1]))


def location_scale_slope(eta):
    mean = location_scale_mean(eta)
    return np.column_stack([mean, mean * np.exp(2 * eta[:, 1])])


@pytest.mark.parametrize("kind", ["difference", "ratio"])
def test_gradient_of_two_predictors_with_weights_and_offset(kind):
    beta = np.array([0.2, 0.3, -0.2, -0.7, 0.2])
    root = 0.1 * RNG.normal(size=(5, 5))
    cov = root @ root.T
    weight = RNG.random(N)
    offset = np.column_stack([RNG.random(N), np.zeros(N)])
    pairs = [(moved(2, to=k)[0], moved(2, to=k)[0][:, [0, 2]]) for k in (1, 0)]

    def effect(b):
        values = [
            np.average(
                location_scale_mean(
                    np.column_stack([x @ b[:3], z @ b[3:]]) + offset,
                ),
                weights=weight,
            )
            for x, z in pairs
        ]
        return values[0] - values[1] if kind == "difference" else values[0] / values[1]

    step = 1e-5 * np.eye(5)
    gradient = np.array([(effect(beta + h) - effect(beta - h)) / 2e-5 for h in step])
    ours = average_comparison(
        *pairs,
        beta,
        cov,
        location_scale_mean,
        location_scale_slope,
        kind=kind,
        offset=offset,
        weight=weight,
    )
    assert ours.estimate == pytest.approx(effect(beta))
    np.testing.assert_allclose(ours.gradient, gradient, rtol=1e-6, atol=1e-9)
    assert ours.std_error == pytest.approx(np.sqrt(gradient @ cov @ gradient))
    middle = ours.lower * ours.upper if kind == "ratio" else ours.lower + ours.upper
    goal = ours.estimate**2 if kind == "ratio" else 2 * ours.estimate
    assert middle == pytest.approx(goal)
    if kind == "ratio":
        half = np.log(ours.upper / ours.lower) / 2
        expected = norm.ppf(0.975) * ours.std_error / ours.estimate
        assert half == pytest.approx(expected)


def test_refusals():
    x, cov = moved(2, to=1), LOGIT.cov_params()
    with pytest.raises(ParameterError, match="ratio"):
        average_comparison(x, x, LOGIT.params, cov, *LINK, kind="ratios")
    with pytest.raises(DataError, match="3 columns"):
        average_comparison(x, x, LOGIT.params[:2], cov, *LINK)
    with pytest.raises(DataError, match="one sign"):
        average_comparison(
            [[[1.0]]],
            [[[-1.0]]],
            [1.0],
            [[1.0]],
            lambda eta: eta[:, 0],
            np.ones_like,
            kind="ratio",
        )
