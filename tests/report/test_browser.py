"""The report in a real browser: what no parser sees."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from asr_dro.analysis.stage import analyze
from asr_dro.report.formats import script_of_language
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
    """Return a report of 143 languages, with the errors analysed and another run beside it."""
    made = write_experiment(tmp_path_factory.mktemp("large"), many_languages(143), n_utterances=4)
    score_all(made.data, made.exp / "decode_greedy")
    analyze(made.data, made.exp, made.exp / "decode_greedy", "test", None)
    scores = Path("decode_greedy/test/scores.json")
    other = made.exp.parent / ("a_run_with_a_name_" + "that_is_rather_long_" * 4) / scores
    other.parent.mkdir(parents=True)
    shutil.copy(made.exp / scores, other)
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


def test_filtering_by_script_and_without_accents(browser: Browser, large: Path) -> None:
    browser.open(large)
    assert browser.run(TYPE, "#language-table", "latin finnish") == "1 of 143"
    browser.run(TYPE, "#language-table", "cyrillic")
    shown = browser.run("return [...document.querySelectorAll('#language-table tbody tr')].filter(row => !row.hidden)"
                        ".map(row => row.dataset.code)")  # fmt: skip
    assert shown
    assert {script_of_language(code) for code in shown} == {"Cyrillic"}
    assert browser.run(TYPE, "#language-table", "ebrie") == "1 of 143", "Ebrié"
    assert browser.run(TYPE, "#language-table", "0") == "0 of 143", "numbers are no names"


def test_a_filtered_table_and_a_row_find_their_marks(browser: Browser, large: Path) -> None:
    browser.open(large)
    count = "return document.querySelectorAll(`.plot [data-code='${arguments[0]}'].${arguments[1]}`).length"
    n_marks = browser.run("return document.querySelectorAll(`.plot [data-code='fin']`).length")
    assert n_marks == 4, "its bar of all, its point, its lines of weight and loss"
    browser.run(TYPE, "#weights-table", "finnish")
    assert browser.run(count, "fin", "chosen") == n_marks
    assert browser.run(count, "spa", "dim") == n_marks
    browser.run(TYPE, "#weights-table", "")
    assert browser.run("return document.querySelectorAll('.dim, .chosen').length") == 0
    point_at = "document.querySelector(arguments[0]).dispatchEvent(new PointerEvent('pointerover', {bubbles: true}))"
    browser.run(point_at, "#language-table tr[data-code='fin'] td")
    assert (browser.run(count, "fin", "lit"), browser.run(count, "spa", "lit")) == (n_marks, 0)
    browser.run(point_at, "h1")
    assert browser.run(count, "fin", "lit") == 0


@pytest.mark.parametrize("width", [1280, PHONE_WIDTH])
def test_a_mark_that_is_pointed_at_says_what_it_is(browser: Browser, large: Path, width: int) -> None:
    script = """
        const mark = document.querySelector(arguments[0]);
        mark.scrollIntoView({block: "center", behavior: "instant"});
        const box = mark.getBoundingClientRect();
        const where = {bubbles: true, clientX: box.left + box.width / 2, clientY: box.top + box.height / 2};
        mark.dispatchEvent(new PointerEvent("pointerover", where));
        const tip = document.querySelector(".tip"), at = tip.getBoundingClientRect();
        return [tip.hidden, tip.textContent, at.left >= 0 && at.right <= innerWidth && at.bottom <= innerHeight];
    """
    browser.open(large, width=width)
    for mark in (".point[data-code='fin']", "rect[data-code='fin']"):
        hidden, text, is_inside = browser.run(script, mark)
        assert (hidden, is_inside) == (False, True)
        assert text.startswith("Finnish (fin): ")
    assert browser.run(script, "#weights .line[data-code='fin']")[1].startswith("Finnish")
    assert browser.run(script, "h1")[0] is True
    assert browser.console() == []


@pytest.mark.parametrize("width", [1280, PHONE_WIDTH])
def test_names_in_the_chart_of_hours_hide_nothing(browser: Browser, large: Path, width: int) -> None:
    browser.open(large, width=width)
    boxes = browser.run(
        """
        return [...document.querySelectorAll(".area .name")].filter((name) => name.offsetWidth)
          .map((name) => { const box = name.getBoundingClientRect();
            return [name.textContent, box.left, box.top, box.right, box.bottom]; });
        """
    )
    assert len(boxes) >= 3
    area = browser.run(
        "const box = document.querySelector('.area').getBoundingClientRect(); return [box.left, box.right]"
    )
    for index, (name, left, top, right, bottom) in enumerate(boxes):
        assert area[0] - 1 <= left, name
        assert right <= area[1] + 1, name
        for other, *box in boxes[index + 1 :]:
            apart = right <= box[0] or box[2] <= left or bottom <= box[1] or box[3] <= top
            assert apart, f"{name} and {other} overlap"


def test_tables_are_sorted_by_keyboard(browser: Browser, large: Path) -> None:
    browser.open(large)
    browser.run("document.querySelectorAll('#language-table thead th')[1].querySelector('button').focus()")
    for kind in ("keyDown", "keyUp"):
        browser.devtools(
            "Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", windowsVirtualKeyCode=13, text="\r"
        )
    values = [float(value) for value in browser.run(COLUMN, "#language-table", 1)]
    assert values == sorted(values)
    assert browser.run("return document.activeElement.closest('th').ariaSort") == "ascending"


def test_the_leaderboard_says_low_errors_first(browser: Browser, large: Path) -> None:
    browser.open(large)
    column = browser.run(
        "return [...document.querySelectorAll('#leaderboard-table thead th')].map(head => head.textContent)"
    )
    mean = next(index for index, name in enumerate(column) if name.startswith("Mean"))
    browser.run(CLICK, "#leaderboard-table", mean)
    assert browser.run("return document.querySelector('#leaderboard-table [aria-sort]').ariaSort") == "ascending"


def test_audio_is_loaded_on_request(browser: Browser, small: Path) -> None:
    """The content policy and the relative link both have to let it through."""
    browser.open(small)
    duration = browser.run_async(
        """
        const done = arguments[0];
        (async () => {
        for (const details of document.querySelectorAll("details")) details.open = true;
        await new Promise((resolve) => setTimeout(resolve, 100));
        const audio = [...document.querySelectorAll("audio")].find(item => item.src.includes("clip_0000"));
        audio.addEventListener("loadedmetadata", () => done(audio.duration));
        audio.addEventListener("error", () => done(audio.error.message));
        audio.load();
        audio.preload = "auto";
        })();
        """
    )
    assert duration == pytest.approx(0.2)


def test_players_are_there_once_an_entry_is_open(browser: Browser, large: Path) -> None:
    browser.open(large)
    count = "return document.querySelectorAll(`#utterance-list details${arguments[0]} ${arguments[1]}`).length"
    assert browser.run(count, "[open]", "audio[controls]") == 2, "the first entry is open"
    assert browser.run(count, "[open]", "a.listen") == 0
    assert browser.run(count, ":not([open])", "audio") == 0
    browser.run("document.querySelectorAll('#utterance-list details')[5].open = true")
    browser.run_async("setTimeout(arguments[0], 100)")
    assert browser.run(count, ":nth-of-type(6)", "audio[aria-label^='Audio of ']") == 2
    assert browser.console() == []


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
