from __future__ import annotations

import re
from html.parser import HTMLParser

from asr_dro.report import plot


class Elements(HTMLParser):
    """Collect the elements of some HTML with their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def of_class(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for _, attributes in self.found if name in (attributes.get("class") or "").split()]


def draw(points: list[tuple[float, float | None]], **options: object) -> Elements:
    lines = [plot.Line("a <b>", points, "main")]
    return Elements(plot.line_plot(lines, label='say "hi"', x_name="epoch", y_format=str, **options))  # type: ignore[arg-type]


def test_a_missing_value_interrupts_the_line() -> None:
    (path,) = draw([(1, 0.0), (2, 1.0), (3, None), (4, 0.5), (5, 0.0)]).of_class("line")[
        1:
    ]  # the first is the legend's
    assert path["d"] == "M0 1000L250 0M750 500L1000 1000"


def test_a_single_point_is_visible() -> None:
    html = draw([(1, 1.0)])
    (dot,) = html.of_class("dot")
    assert dot["d"] == "M500 0h0"


def test_long_lines_have_no_marks() -> None:
    assert not draw([(n, 0.5) for n in range(plot.MAX_MARKED_POINTS + 1)]).of_class("dot")


def test_names_are_escaped() -> None:
    html = plot.line_plot([plot.Line("<script>", [(1, 1.0)])], label='"><script>', x_name="&", y_format=str)
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_x_ticks_are_whole_numbers_within_the_axis() -> None:
    html = plot.line_plot([plot.Line("a", [(n, 1.0) for n in range(1, 9)])], label="", x_name="", y_format=str)
    axis = html.split('class="x"')[1].split("</div>")[0]
    assert re.findall(r">(\d+)</span>", axis) == ["2", "4", "6", "8"]
    assert all(0 <= float(left) <= 100 for left in re.findall(r"left:([\d.]+)%", axis))


def test_a_bar_is_as_long_as_its_value() -> None:
    html = plot.bar(0.25, top=0.5, style="worst", marker=0.5, mean=0.125)
    elements = Elements(html)
    (bar,) = elements.of_class("worst")
    assert bar["width"] == "500"
    assert (elements.of_class("marker")[0]["d"], elements.of_class("mean")[0]["d"]) == ("M1000 6V94", "M250 0V100")
    assert 'width="0"' in plot.bar(None, top=0.5)
    assert 'width="1000"' in plot.bar(3.0, top=0.5)


def test_columns_fill_the_width_in_order() -> None:
    columns = [plot.Column("x", "", 1.0, "worst", 0.25), plot.Column("y", "<y>", 0.5, interval=(0.25, 0.75))]
    elements = Elements(plot.column_plot(columns, label="", y_format=str, mean=0.3))
    bars = [attributes for tag, attributes in elements.found if tag == "rect"]
    assert [float(bar["x"] or 0) for bar in bars] == [60, 560]
    assert [float(bar["height"] or 0) for bar in bars] == [1000, 500]
    assert len(elements.of_class("marker")) == 1
    assert [bar["data-code"] for bar in bars] == ["x", "y"]
    (whisker,) = elements.of_class("whisker")
    assert whisker["d"] == "M750.0 750V250"


def test_no_interval_sticks_out_of_its_chart() -> None:
    column = plot.Column("x", "", 0.5, interval=(0.1, 1.3))
    (whisker,) = Elements(plot.column_plot([column], label="", y_format=str, mean=None)).of_class("whisker")
    assert float((whisker["d"] or "").split("V")[1]) > 0
    (whisker,) = Elements(plot.bar(0.5, top=1.0, interval=(0.25, 1.3))).of_class("whisker")
    assert whisker["d"] == "M250 36V64M250 50H1000M1000 36V64"


def test_many_lines_are_drawn_fainter() -> None:
    lines = [plot.Line(str(n), [(1, 1.0), (2, 2.0)], "faint") for n in range(plot.MANY_LINES + 1)]
    assert "crowded" in plot.line_plot(lines, label="", x_name="", y_format=str)
    assert "crowded" not in plot.line_plot(lines[1:], label="", x_name="", y_format=str)
