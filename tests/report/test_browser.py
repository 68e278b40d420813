"""The report in a real browser: what no parser sees."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from asr_dro.report.render import make_report
from asr_dro.scoring.stage import score_all
from tests.report.browser import Browser, missing_programs, open_browser
from tests.report.experiment import MINI, many_languages, write_experiment

pytestmark = pytest.mark.skipif(
    bool(missing_programs()),
    reason=f"not installed: {' '.join(missing_programs())}; Debian has them: apt-get install chromium chromium-driver",
)

PHONE_WIDTH = 390
COLUMN = """
    const [table, column] = arguments;
    return [...document.querySelectorAll(`${table} tbody tr`)].filter(row => !row.hidden)
      .map(row => row.cells[column].dataset.v);
"""
CLICK = "document.querySelectorAll(`${arguments[0]} thead th`)[arguments[1]].querySelector('button').click()"
TYPE = """
    const input = document.querySelector(`input[data-filter='${arguments[0]}']`);
    input.value = arguments[1];
    input.dispatchEvent(new Event('input'));
    return input.closest('.tools').querySelector('output').textContent;
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as started:
        yield started


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a report with hostile texts."""
    made = write_experiment(tmp_path_factory.mktemp("a folder"), (*MINI, "ara"), hostile=True)
    score_all(made.data, made.exp / "decode_greedy")
    return make_report(made.data, made.exp, "greedy")[0]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a report of 143 languages."""
    made = write_experiment(tmp_path_factory.mktemp("large"), many_languages(143), n_utterances=4)
    score_all(made.data, made.exp / "decode_greedy")
    return make_report(made.data, made.exp, "greedy")[0]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, PHONE_WIDTH, 320])
@pytest.mark.parametrize("which", ["small", "large"])
def test_no_errors_and_nothing_sticks_out(
    browser: Browser, request: pytest.FixtureRequest, which: str, width: int, scheme: str
) -> None:
    browser.console()
    browser.open(request.getfixturevalue(which), width=width, scheme=scheme)
    browser.run("for (const details of document.querySelectorAll('details')) details.open = true")
    assert browser.console() == []
    assert browser.run("return window.hacked") is None
    assert browser.run("return performance.getEntriesByType('resource').length") == 0
    assert browser.run("return document.documentElement.scrollWidth") <= width
    assert browser.run("return document.body.innerText.length") > 1000


def test_the_page_follows_light_and_dark(browser: Browser, small: Path) -> None:
    colours = []
    for scheme in ("light", "dark"):
        browser.open(small, scheme=scheme)
        colours.append(browser.run("return getComputedStyle(document.body).backgroundColor"))
    assert len(set(colours)) == 2


def test_sorting(browser: Browser, large: Path) -> None:
    browser.open(large)
    table = "#language-table"
    by_cer = [float(value) for value in browser.run(COLUMN, table, 1)]
    assert len(by_cer) == 143
    assert by_cer == sorted(by_cer, reverse=True)
    browser.run(CLICK, table, 1)
    assert [float(value) for value in browser.run(COLUMN, table, 1)] == sorted(by_cer)
    browser.run(CLICK, table, 0)
    names = browser.run(COLUMN, table, 0)
    assert names == browser.run("return [...arguments[0]].sort((a, b) => a.localeCompare(b))", names)
    sorted_by = "return [...document.querySelectorAll(`${arguments[0]} [aria-sort]`)].map(head => head.ariaSort)"
    assert browser.run(sorted_by, table) == ["ascending"]
    browser.run(CLICK, table, 0)
    assert browser.run(COLUMN, table, 0) == browser.run(
        "return [...arguments[0]].sort((a, b) => b.localeCompare(a))", names
    )
    assert browser.console() == []


def test_filtering(browser: Browser, large: Path) -> None:
    browser.open(large)
    assert browser.run(TYPE, "#language-table", "FINN fin") == "1 of 143"
    assert browser.run(COLUMN, "#language-table", 0) == ["Finnish"]
    assert browser.run(TYPE, "#language-table", "no such language") == "0 of 143"
    assert browser.run(TYPE, "#language-table", " ") == ""
    assert len(browser.run(COLUMN, "#language-table", 0)) == 143
    browser.run(TYPE, "#utterance-list", "spanish")
    shown = "return [...document.querySelectorAll('#utterance-list details')].filter(item => !item.hidden).length"
    assert browser.run(shown) == 1


def test_audio_is_loaded_on_request(browser: Browser, small: Path) -> None:
    """The content policy and the relative link both have to let it through."""
    browser.open(small)
    duration = browser.run_async(
        """
        const done = arguments[0];
        const audio = [...document.querySelectorAll("audio")].find(item => item.src.includes("clip_0000"));
        audio.addEventListener("loadedmetadata", () => done(audio.duration));
        audio.addEventListener("error", () => done(audio.error.message));
        audio.load();
        audio.preload = "auto";
        """
    )
    assert duration == pytest.approx(0.2)


def test_text_has_enough_contrast(browser: Browser, small: Path) -> None:
    """WCAG AA: 4.5 to 1 for text, in both schemes."""
    script = """
        const luminance = (colour) => {
          const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).slice(0, 3)
            .map((v) => v / 255).map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
          return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const ground = (element) => {
          for (; element; element = element.parentElement) {
            const colour = getComputedStyle(element).backgroundColor;
            if (colour.startsWith("rgb(")) return colour;
          }
          return "rgb(255, 255, 255)";
        };
        const bad = new Set();
        for (const element of document.querySelectorAll("body *")) {
          if (![...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim())) continue;
          if (["SCRIPT", "STYLE", "title"].includes(element.nodeName)) continue;
          const pair = [getComputedStyle(element).color, ground(element)].map(luminance).sort((a, b) => b - a);
          const ratio = (pair[0] + 0.05) / (pair[1] + 0.05);
          if (ratio < 4.5) bad.add(`${element.nodeName}.${element.className} ${ratio.toFixed(2)}`);
        }
        return [...bad];
    """
    for scheme in ("light", "dark"):
        browser.open(small, scheme=scheme)
        assert browser.run(script) == []
