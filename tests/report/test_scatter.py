from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_dro.report.scatter import MAX_NAMES, MAX_SCRIPTS, Point, scatter_plot
from tests.report.test_plot import Elements


def point(code: str, hours: float, error: float, script: str = "Latin", *, is_worst: bool = False) -> Point:
    return Point(code, f"Name of {code}", f"note of {code}", hours, error, script, is_worst)


def draw(points: Sequence[Point]) -> Elements:
    return Elements(scatter_plot(points, label="all", error_name="CER"))


def place(style: str | None) -> tuple[float, float]:
    left, bottom = re.findall(r"[\d.]+", style or "")
    return float(left), float(bottom)


def marks(drawn: Elements) -> dict[str, dict[str, str | None]]:
    return {mark["data-code"] or "": mark for mark in drawn.of_class("point") if "data-code" in mark}


def test_hours_are_logarithmic_and_errors_are_not() -> None:
    found = marks(draw([point("a", 1, 0.0), point("b", 10, 0.5), point("c", 100, 1.0)]))
    assert {code: place(mark["style"]) for code, mark in found.items()} == {"a": (0, 0), "b": (50, 50), "c": (100, 100)}
    assert found["a"]["data-tip"] == "note of a"


def test_nothing_is_drawn_where_there_is_nothing_to_see() -> None:
    assert not scatter_plot([], label="", error_name="")
    assert not scatter_plot([point("a", 1, 0.1), point("b", 50, 0.2)], label="", error_name="")
    same = [point(code, hours, 0.1) for code, hours in (("a", 1.0), ("b", 1.1), ("c", 1.2))]
    assert not scatter_plot(same, label="", error_name=""), "ten minutes each, say"
    assert scatter_plot([*same, point("d", 1.6, 0.1)], label="", error_name="")


def test_few_scripts_have_a_style_each_and_rare_ones_of_many_share_one() -> None:
    few = [point(str(n), n + 1, 0.1, f"script {n}") for n in range(MAX_SCRIPTS + 1)]
    assert len({mark["class"] for mark in marks(draw(few)).values()}) == MAX_SCRIPTS + 1
    many = [point(f"{n}", n + 1, 0.1, f"script {n}") for n in range(20)]
    many += [point(f"x{n}", n + 1, 0.1, "script 3") for n in range(3)]
    html = scatter_plot(many, label="", error_name="")
    assert marks(Elements(html))["3"]["class"] == "point s0"
    assert marks(Elements(html))["4"]["class"] == "point other"
    assert "script 3 (4)" in html
    assert "19 other scripts (19)" in html


def test_the_worst_and_the_outliers_are_named_and_no_name_leaves_the_chart() -> None:
    points = [point(f"{n:03}", 1.1**n, 0.1 + 0.001 * (n % 7)) for n in range(100)]
    points[60] = point("odd", 1.1**60, 0.9)
    points[99] = point("bad", 1.1**99, 0.95, is_worst=True)
    html = scatter_plot(points, label="", error_name="")
    names = re.findall(r'<span class="name (\w+)[^"]*"[^>]*>Name of (\w+)</span>', html)
    assert names[0] == ("left", "bad"), "at the right edge, so the name stands to the left"
    assert names[1] == ("right", "odd")
    assert len(names) <= MAX_NAMES


@given(
    st.lists(st.tuples(st.floats(1e-6, 1e5), st.floats(0, 20), st.sampled_from("abcdefgh")), min_size=3, max_size=40)
)
def test_whatever_the_numbers_marks_lie_in_the_chart(values: list[tuple[float, float, str]]) -> None:
    points = [point(str(n), hours, error, script) for n, (hours, error, script) in enumerate(values)]
    found = marks(draw(points))
    assert len(found) in (0, len(points))
    for mark in found.values():
        assert all(0 <= value <= 100 for value in place(mark["style"]))


@pytest.mark.parametrize("text", ['"><script>', "<b>&"])
def test_texts_are_escaped(text: str) -> None:
    points = [Point(text, text, text, 10.0**n, 0.1 * n, text, n == 2) for n in range(4)]
    html = scatter_plot(points, label=text, error_name=text)
    assert text not in html
    assert len(marks(Elements(html))) == 1, "all have the same code"
