from __future__ import annotations

import pytest
from scipy import stats  # type: ignore[import-untyped]

from asr_dro.scoring.student_t import incomplete_beta, t_cdf, t_quantile

FREEDOM = (1.0, 1.5, 2.0, 3.7, 9.0, 49.0, 142.0, 1e4, 1e6, 1e9, float("inf"))


@pytest.mark.parametrize("freedom", FREEDOM)
def test_as_in_scipy(freedom: float) -> None:
    for t in (-40.0, -4.3, -1.96, -0.1, 0.0, 0.3, 2.5, 12.0):
        assert t_cdf(t, freedom) == pytest.approx(stats.t.cdf(t, freedom), rel=1e-7, abs=1e-300)
    for share in (1e-6, 0.0125, 0.025, 0.3, 0.5, 0.8, 0.975, 0.9999):
        assert t_quantile(share, freedom) == pytest.approx(stats.t.ppf(share, freedom), rel=1e-7, abs=1e-12)


@pytest.mark.parametrize(("a", "b"), [(0.5, 0.5), (2.0, 7.0), (40.0, 0.5), (0.1, 30.0)])
def test_incomplete_beta_as_in_scipy(a: float, b: float) -> None:
    for x in (0.0, 1e-9, 0.1, 0.5, 0.9, 1.0):
        assert incomplete_beta(a, b, x) == pytest.approx(stats.beta.cdf(x, a, b), rel=1e-10)
