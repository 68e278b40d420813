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
NAMED_STYLES = ("main", "second", "third")  # of lines that a legend names, in its order
MANY_LINES = 40  # more lines than this are drawn fainter still
MAX_MARKED_POINTS = 60  # more points than this are a line without marks

_Format = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart.

    Attributes:
        name: For the legend and the tool tip.
        points: x and y; a y of ``None`` interrupts the line.
        style: CSS class: ``main``, ``second``, ``third`` or ``faint``.
        notes: Tool tip of each point; empty for none.
    """

    name: str
    points: Sequence[tuple[float, float | None]]
    style: str = "main"
    notes: Sequence[str] = ()


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
    grid = Markup().join(
        Markup('<path class="grid" d="M0 {y}H1000"/>').format(y=_unit(1 - y_scale.position(tick)))
        for tick in y_scale.ticks
    )
    drawn = Markup().join(_draw(line, x_scale, y_scale) for line in lines)
    crowded = " crowded" if len(lines) > MANY_LINES else ""
    return Markup(
        '<div class="plot{crowded}">{legend}<div class="axes"><div class="y" aria-hidden="true">{y}</div>'
        '<svg viewBox="0 0 1000 1000" preserveAspectRatio="none" role="img" aria-label="{label}">{grid}{drawn}</svg>'
        '<div class="x" aria-hidden="true">{x}</div><div class="x-name">{x_name}{scale}</div></div></div>'
    ).format(
        crowded=crowded,
        legend=_legend(lines) if legend else "",
        y=_ticks(y_scale, "bottom", y_format),
        x=_ticks(x_scale, "left", lambda value: f"{value:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")),
        label=label,
        grid=grid,
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
    value: float | None, *, top: float, style: str = "", marker: float | None = None, mean: float | None = None
) -> Markup:
    """Draw one horizontal bar with an optional marker line and the line of the mean.

    Args:
        value: Length of the bar; ``None`` draws none.
        top: The value that fills the width.
        style: CSS class of the bar, e.g. ``worst``.
        marker: Value of a second measurement, drawn as a thin upright line.
        mean: Value of the dashed line that runs through all bars.
    """
    parts = [Markup('<rect class="{}" y="18" height="64" width="{}"/>').format(style, _unit(_share(value, top)))]
    for kind, at in (("mean", mean), ("marker", marker)):
        if at is not None:
            top_y, bottom_y = (0, 100) if kind == "mean" else (6, 94)
            x = _unit(_share(at, top))
            parts.append(Markup('<path class="{}" d="M{} {}V{}"/>').format(kind, x, top_y, bottom_y))
    return Markup(
        '<svg class="bar" viewBox="0 0 1000 100" preserveAspectRatio="none" aria-hidden="true">{}</svg>'
    ).format(Markup().join(parts))


def column_plot(
    columns: Sequence[tuple[str, float, float | None, str]], *, label: str, y_format: _Format, mean: float | None
) -> Markup:
    """Draw many upright bars side by side, too many to name each below the axis.

    Args:
        columns: Name (tool tip), value, second measurement drawn as a short line, CSS class.
        label: What the chart shows, for a screen reader.
        y_format: Writes a tick of the vertical axis.
        mean: Value of the dashed line.
    """
    scale = linear_scale([max(value, other or 0.0) for _, value, other, _ in columns])
    width = SIZE / max(len(columns), 1)
    parts = [
        Markup('<path class="grid" d="M0 {y}H1000"/>').format(y=_unit(1 - scale.position(tick))) for tick in scale.ticks
    ]
    for index, (name, value, other, style) in enumerate(columns):
        left, height = index * width, scale.position(value)
        parts.append(
            Markup('<rect class="{}" x="{:.1f}" y="{}" width="{:.1f}" height="{}"><title>{}</title></rect>').format(
                style, left + 0.12 * width, _unit(1 - height), 0.76 * width, _unit(height), name
            )
        )
        if other is not None:
            y = _unit(1 - scale.position(other))
            parts.append(Markup('<path class="marker" d="M{:.1f} {}h{:.1f}"/>').format(left, y, width))
    if mean is not None:
        parts.append(Markup('<path class="mean" d="M0 {y}H1000"/>').format(y=_unit(1 - scale.position(mean))))
    return Markup(
        '<div class="plot"><div class="axes"><div class="y" aria-hidden="true">{y}</div>'
        '<svg viewBox="0 0 1000 1000" preserveAspectRatio="none" role="img" aria-label="{label}">{parts}</svg>'
        "</div></div>"
    ).format(y=_ticks(scale, "bottom", y_format), label=label, parts=Markup().join(parts))


def _draw(line: Line, x_scale: Scale, y_scale: Scale, marks: bool = True) -> Markup:
    """Draw a line as one path; single points, and the points of a short line, as round marks."""
    path, dots = [], []
    is_open = False  # the pen is down
    is_marked = marks and line.style != "faint" and len(line.points) <= MAX_MARKED_POINTS
    for index, (x, y) in enumerate(line.points):
        if y is None:
            is_open = False
            continue
        at = f"{_unit(x_scale.position(x))} {_unit(1 - y_scale.position(y))}"
        path.append(f"{'L' if is_open else 'M'}{at}")
        is_open = True
        if is_marked:
            note = line.notes[index] if line.notes else ""
            title = Markup("<title>{}</title>").format(note) if note else ""
            dots.append(Markup('<path class="dot {}" d="M{}h0">{}</path>').format(line.style, at, title))
    title = Markup("<title>{}</title>").format(line.name) if line.name else ""
    drawn = Markup('<path class="line {}" d="{}">{}</path>').format(line.style, "".join(path), title)
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


def _ticks(scale: Scale, edge: str, write: _Format) -> Markup:
    return Markup().join(
        Markup('<span style="{}:{:.2f}%">{}</span>').format(edge, 100 * scale.position(tick), write(tick))
        for tick in scale.ticks
    )


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


def _unit(share: float) -> str:
    """Write a share of the axis in chart units, as short as it may be."""
    return f"{SIZE * share:.1f}".removesuffix(".0")
