"""The page of scores in a real browser."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from asr_dro.bin.collect import main
from tests.collecting.experiments import write, write_run, write_scored
from tests.report.browser import Browser, missing_programs, open_browser
from tests.report.test_browser import CLICK, COLUMN, TYPE

pytestmark = pytest.mark.skipif(
    bool(missing_programs()),
    reason=f"not installed: {' '.join(missing_programs())}; Debian has them: apt-get install chromium chromium-driver",
)

OBJECTIVES = ("ctc", "group_dro", "ctc_dro")
HEADS = "return [...document.querySelectorAll(`${arguments[0]} thead th`)].map(head => head.textContent)"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as started:
        yield started


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page of 36 scored experiments, a failed one with a hostile error, and published figures."""
    folder = tmp_path_factory.mktemp("a folder")
    rng = random.Random(2)
    for objective in OBJECTIVES:
        for seed in range(12):
            rates = {"fin": rng.uniform(0.05, 0.2), "hin": rng.uniform(0.2, 0.6), "kat": 0.1}
            tag = f"separable_conv_{objective}_mini6_s{seed}"
            write_scored(folder / "exp" / tag, rates, objective=objective, seed=seed, model="separable_conv")
    write(folder / "exp" / "separable_conv_ctc_mini6_s0" / "report.html", "<title>the report</title>")
    write_run(folder / "exp" / "failed_s1", trained=False)
    error = '{"stage": 4, "error": "<script>window.hacked = 1</script> ' + 300 * "w" + '"}'
    write(folder / "exp" / "failed_s1" / "failure.json", error)
    main([str(folder / "exp"), "--html", str(folder / "scores.html"), "--published", "ml_superb"])
    return folder / "scores.html"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390, 320])
def test_no_errors_and_nothing_sticks_out(browser: Browser, page: Path, width: int, scheme: str) -> None:
    browser.console()
    browser.open(page, width=width, scheme=scheme)
    assert browser.console() == []
    assert browser.run("return window.hacked") is None
    assert browser.run("return performance.getEntriesByType('resource').length") == 0
    assert browser.run("return document.documentElement.scrollWidth") <= width


def test_sorting_and_filtering(browser: Browser, page: Path) -> None:
    browser.open(page)
    heads = browser.run(HEADS, "#table-0")
    worst = heads.index("Worst")
    values = [float(value) for value in browser.run(COLUMN, "#table-0", worst)]
    assert len(values) == 36
    assert values == sorted(values)
    browser.run(CLICK, "#table-0", worst)
    assert [float(value) for value in browser.run(COLUMN, "#table-0", worst)] == sorted(values, reverse=True)
    assert browser.run(TYPE, "#tables", "group_dro s11") == "1 of 63"
    assert browser.run(COLUMN, "#table-0", heads.index("Objective")) == ["group_dro"]
    assert browser.run(TYPE, "#tables", "failed") == "1 of 63"
    assert browser.console() == []


def test_the_report_is_a_click_away(browser: Browser, page: Path) -> None:
    browser.open(page)
    assert browser.run("return document.querySelectorAll('td a, th a').length") == 1
    browser.run("document.querySelector('th a').click()")
    assert browser.run("return document.title") == "the report"
