"""Pictures of the report: small functions that return inline SVG inside HTML.

The lines and bars are SVG that stretches to any width (``preserveAspectRatio="none"`` with strokes that do not scale);
every letter beside them is HTML. So a chart needs no script, follows the page's light or dark colours, and its text
has the same size on a phone as on a desk. Colours and strokes are CSS classes of the report's style sheet.

A chart has a coordinate system of ``SIZE`` x ``SIZE`` units, y downwards as SVG has it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from asr_dro.report.scales import Scale, linear_scale, log_scale, nice_step

SIZE = 1000.0  # units along either axis of a chart
NAMED_STYLES = ("main", "second", "third", "fourth")  # of lines that a legend names, in its order
MANY_LINES = 40  # more lines than this are drawn fainter still
MAX_MARKED_POINTS = 60  # more points than this are a line without marks

_Format = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart.

    Attributes:
        name: For the legend and the tool tip.
        points: x and y; a y of ``None`` interrupts the line.
        style: CSS class: one of `NAMED_STYLES`, or ``faint``.
        notes: Tool tip of each point; empty for none.
        code: What scripts find the line by; empty for none.
    """

    name: str
    points: Sequence[tuple[float, float | None]]
    style: str = "main"
    notes: Sequence[str] = ()
    code: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """One bar of a chart of many.

    Attributes:
        code: What scripts find it by.
        note: Tool tip.
        value: Its height.
        style: CSS class, e.g. ``worst``.
        marker: A second measurement, drawn as a short line.
        interval: Confidence interval, drawn as an upright line.
    """

    code: str
    note: str
    value: float
    style: str = ""
    marker: float | None = None
    interval: tuple[float, float] | None = None


def line_plot(
    lines: Sequence[Line], *, label: str, x_name: str, y_format: _Format, log: bool = False, legend: bool = True
) -> Markup:
    """Draw lines over a common axis, with a legend for those that are not faint.

    Args:
        lines: The lines, the last one on top; a missing value interrupts its line.
        label: What the chart shows, for a screen reader.
        x_name: Name of the horizontal axis, whose values are whole numbers.
        y_format: Writes a tick of the vertical axis.
        log: Allow a logarithmic vertical axis when the values span more than `LOG_RATIO`.
        legend: Whether to name the lines above the chart.

    Returns:
        HTML.
    """
    values = [y for line in lines for _, y in line.points if y is not None]
    y_scale = log_scale(values) if log else linear_scale(values)
    x_scale = _x_scale([x for line in lines for x, _ in line.points])
    drawn = Markup().join(_draw(line, x_scale, y_scale) for line in lines)
    crowded = " crowded" if len(lines) > MANY_LINES else ""
    return Markup(
        '<div class="plot{crowded}">{legend}<div class="axes"><div class="y" aria-hidden="true">{y}</div>'
        '<svg viewBox="0 0 1000 1000" preserveAspectRatio="none" role="img" aria-label="{label}">{grid}{drawn}</svg>'
        '<div class="x" aria-hidden="true">{x}</div><div class="x-name">{x_name}{scale}</div></div></div>'
    ).format(
        crowded=crowded,
        legend=_legend(lines) if legend else "",
        y=axis_ticks(y_scale, "bottom", y_format),
        x=axis_ticks(x_scale, "left", lambda value: f"{value:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")),
        label=label,
        grid=grid_lines(y_scale),
        drawn=drawn,
        x_name=x_name,
        scale=", logarithmic vertical scale" if y_scale.is_log else "",
    )


def sparkline(points: Sequence[tuple[float, float | None]], *, top: float, style: str = "main") -> Markup:
    """Draw one small line without axes.

    Args:
        points: x and y.
        top: The value at the upper edge, the same for all lines that a reader may compare; the lower edge is 0.
        style: CSS class of the line.
    """
    line = Line("", points, style)
    drawn = _draw(line, _x_scale([x for x, _ in points]), Scale(0.0, top or 1.0, ()), marks=False)
    return Markup(
        '<svg class="spark" viewBox="0 0 1000 1000" preserveAspectRatio="none" aria-hidden="true">'
        '<path class="grid" d="M0 1000H1000"/>{drawn}</svg>'
    ).format(drawn=drawn)


def bar(
    value: float | None,
    *,
    top: float,
    style: str = "",
    marker: float | None = None,
    mean: float | None = None,
    interval: tuple[float, float] | None = None,
) -> Markup:
    """Draw one horizontal bar with an optional confidence interval, marker line and line of the mean.

    Args:
        value: Length of the bar; ``None`` draws none.
        top: The value that fills the width.
        style: CSS class of the bar, e.g. ``worst``.
        marker: Value of a second measurement, drawn as a thin upright line.
        mean: Value of the dashed line that runs through all bars.
        interval: Its ends are joined by a thin line along the bar.
    """
    parts = [Markup('<rect class="{}" y="18" height="64" width="{}"/>').format(style, unit(_share(value, top)))]
    if mean is not None:
        parts.append(Markup('<path class="mean" d="M{} 0V100"/>').format(unit(_share(mean, top))))
    if interval is not None:
        low, high = (unit(_share(end, top)) for end in interval)
        path = Markup('<path class="whisker" d="M{low} 36V64M{low} 50H{high}M{high} 36V64"/>')
        parts.append(path.format(low=low, high=high))
    if marker is not None:
        parts.append(Markup('<path class="marker" d="M{} 6V94"/>').format(unit(_share(marker, top))))
    return Markup(
        '<svg class="bar" viewBox="0 0 1000 100" preserveAspectRatio="none" aria-hidden="true">{}</svg>'
    ).format(Markup().join(parts))


def column_plot(columns: Sequence[Column], *, label: str, y_format: _Format, mean: float | None) -> Markup:
    """Draw many upright bars side by side, too many to name each below the axis.

    Args:
        columns: The bars from left to right.
        label: What the chart shows, for a screen reader.
        y_format: Writes a tick of the vertical axis.
        mean: Value of the dashed line.
    """
    tops = [max(column.value, column.marker or 0.0, *(column.interval or (0.0,))) for column in columns]
    scale = linear_scale(tops)
    width = SIZE / max(len(columns), 1)
    drawn = Markup().join(_column(column, index * width, width, scale) for index, column in enumerate(columns))
    if mean is not None:
        drawn += Markup('<path class="mean" d="M0 {y}H1000"/>').format(y=unit(1 - scale.position(mean)))
    return Markup(
        '<div class="plot"><div class="axes"><div class="y" aria-hidden="true">{y}</div>'
        '<svg viewBox="0 0 1000 1000" preserveAspectRatio="none" role="img" aria-label="{label}">{grid}{drawn}</svg>'
        "</div></div>"
    ).format(y=axis_ticks(scale, "bottom", y_format), label=label, grid=grid_lines(scale), drawn=drawn)


def grid_lines(scale: Scale) -> Markup:
    """Draw a line through the chart at each tick of the vertical axis."""
    line = Markup('<path class="grid" d="M0 {y}H1000"/>')
    return Markup().join(line.format(y=unit(1 - scale.position(tick))) for tick in scale.ticks)


def axis_ticks(scale: Scale, edge: str, write: _Format) -> Markup:
    """Write the numbers beside an axis, at percentages from its ``edge`` (``left`` or ``bottom``)."""
    tick_mark = Markup('<span style="{}:{:.2f}%">{}</span>')
    return Markup().join(tick_mark.format(edge, 100 * scale.position(tick), write(tick)) for tick in scale.ticks)


def unit(share: float) -> str:
    """Write a share of the axis in chart units, as short as it may be."""
    return f"{SIZE * share:.1f}".removesuffix(".0")


def _column(column: Column, left: float, width: float, scale: Scale) -> Markup:
    """Draw one upright bar in the place from ``left``."""
    height = scale.position(column.value)
    drawn = Markup(
        '<rect class="{}" data-code="{}" x="{:.1f}" y="{}" width="{:.1f}" height="{}"><title>{}</title></rect>'
    ).format(column.style, column.code, left + 0.12 * width, unit(1 - height), 0.76 * width, unit(height), column.note)
    if column.interval is not None:
        low, high = (unit(1 - scale.position(end)) for end in column.interval)
        drawn += Markup('<path class="whisker" d="M{:.1f} {}V{}"/>').format(left + width / 2, low, high)
    if column.marker is not None:
        y = unit(1 - scale.position(column.marker))
        drawn += Markup('<path class="marker" d="M{:.1f} {}h{:.1f}"/>').format(left, y, width)
    return drawn


def _draw(line: Line, x_scale: Scale, y_scale: Scale, marks: bool = True) -> Markup:
    """Draw a line as one path; single points, and the points of a short line, as round marks."""
    path, dots = [], []
    is_open = False  # the pen is down
    is_marked = marks and line.style != "faint" and len(line.points) <= MAX_MARKED_POINTS
    for index, (x, y) in enumerate(line.points):
        if y is None:
            is_open = False
            continue
        at = f"{unit(x_scale.position(x))} {unit(1 - y_scale.position(y))}"
        path.append(f"{'L' if is_open else 'M'}{at}")
        is_open = True
        if is_marked:
            note = line.notes[index] if line.notes else ""
            title = Markup("<title>{}</title>").format(note) if note else ""
            dots.append(Markup('<path class="dot {}" d="M{}h0">{}</path>').format(line.style, at, title))
    title = Markup("<title>{}</title>").format(line.name) if line.name else ""
    code = Markup(' data-code="{}"').format(line.code) if line.code else ""
    drawn = Markup('<path class="line {}"{} d="{}">{}</path>').format(line.style, code, "".join(path), title)
    return drawn + Markup().join(dots)


def _x_scale(values: Sequence[float]) -> Scale:
    """Make a scale from the first to the last x with whole-numbered ticks."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    if low == high:
        return Scale(low - 0.5, low + 0.5, (low,))
    step = max(1.0, nice_step((high - low) / 6))
    first = math.ceil(low / step) * step
    ticks = [first + index * step for index in range(int((high - first) / step) + 1)]
    return Scale(low, high, tuple(tick for tick in ticks if float(tick).is_integer()))


def _legend(lines: Sequence[Line]) -> Markup:
    items = Markup().join(
        Markup(
            '<li><svg viewBox="0 0 24 8" aria-hidden="true"><path class="line {}" d="M1 4H23"/></svg>{}</li>'
        ).format(line.style, line.name)
        for style in NAMED_STYLES
        for line in lines
        if line.style == style
    )
    return Markup('<ul class="legend">{}</ul>').format(items)


def _share(value: float | None, top: float) -> float:
    return 0.0 if value is None or top <= 0 else min(value / top, 1.0)
