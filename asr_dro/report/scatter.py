"""The chart of error against hours of training audio, a mark for each language.

Marks are HTML elements at percentages of the chart, since shapes in a stretched SVG would be stretched with it; text
and marks so keep their size on a phone. Whatever names a mark beside it must not hide another name: names are placed
one after the other where there is room, in a chart as wide as on a desk, and those that fit a phone too stay there.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from asr_dro.report.formats import percent_tick, tick
from asr_dro.report.plot import axis_ticks, grid_lines
from asr_dro.report.scales import Scale, linear_scale, log_scale

MAX_SCRIPTS = 5  # with a shape and a colour of their own; the others share one
MIN_LANGUAGES = 3  # that a script needs for a style of its own where there are many scripts
MAX_NAMES = 14
LEAST_RATIO = 1.5  # of the most to the least audio: below it there is nothing to see
_DESK = (880.0, 320.0)  # width and height in CSS pixels that names are placed for
_PHONE = (290.0, 240.0)
_LETTER_WIDTH, _LINE_HEIGHT, _MARK = 6.4, 15.0, 10.0  # pixels
_OTHER = "other"

_Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Point:
    """One language.

    Attributes:
        code: Its code, by which scripts find it.
        name: The name beside the mark.
        note: Tool tip.
        hours: Hours of training audio.
        error: Error rate, a fraction.
        script: Name of its script.
        is_worst: Whether it is the worst language.
    """

    code: str
    name: str
    note: str
    hours: float
    error: float
    script: str
    is_worst: bool = False


def scatter_plot(points: Sequence[Point], *, label: str, error_name: str) -> Markup:
    """Draw the chart.

    Args:
        points: The languages that have both numbers; hours are positive.
        label: What the chart shows, for a screen reader.
        error_name: Name of the vertical axis.

    Returns:
        HTML; nothing if there are fewer than three points, or all have about as much audio.
    """
    hours = [point.hours for point in points]
    if len(points) < 3 or max(hours) < LEAST_RATIO * min(hours):
        return Markup()
    x_scale = log_scale(hours, least_ratio=LEAST_RATIO)
    y_scale = linear_scale([point.error for point in points])
    styles = _styles(points)
    names = _place_names(points, x_scale, y_scale)
    marks = Markup().join(_mark(point, styles, x_scale, y_scale) for point in points)
    return Markup(
        '<div class="plot scatter">{legend}<div class="y-name">{error_name}</div><div class="axes">'
        '<div class="y" aria-hidden="true">{y}</div><div class="area" role="img" aria-label="{label}">'
        '<svg viewBox="0 0 1000 1000" preserveAspectRatio="none" aria-hidden="true">{grid}</svg>{marks}{names}</div>'
        '<div class="x" aria-hidden="true">{x}</div>'
        '<div class="x-name">hours of training audio, logarithmic scale</div></div></div>'
    ).format(
        legend=_legend(points, styles),
        error_name=error_name,
        y=axis_ticks(y_scale, "bottom", percent_tick),
        x=axis_ticks(x_scale, "left", tick),
        label=label,
        grid=grid_lines(y_scale),
        marks=marks,
        names=Markup().join(names),
    )


def _styles(points: Sequence[Point]) -> dict[str, str]:
    """Give the commonest scripts a style each, in the order of their languages' number."""
    counts = Counter(point.script for point in points)
    ranked = sorted(counts, key=lambda script: (-counts[script], script))
    if len(ranked) <= MAX_SCRIPTS + 1:
        return {script: f"s{rank}" for rank, script in enumerate(ranked)}
    return {
        script: f"s{rank}" if rank < MAX_SCRIPTS and counts[script] >= MIN_LANGUAGES else _OTHER
        for rank, script in enumerate(ranked)
    }


def _legend(points: Sequence[Point], styles: dict[str, str]) -> Markup:
    counts = Counter(point.script for point in points)
    entries = [(style, script, counts[script]) for script, style in styles.items() if style != _OTHER]
    others = [script for script, style in styles.items() if style == _OTHER]
    if others:
        entries.append((_OTHER, f"{len(others)} other scripts", sum(counts[script] for script in others)))
    items = Markup().join(
        Markup('<li><i class="point {}"></i>{} ({})</li>').format(style, name, n) for style, name, n in entries
    )
    return Markup('<ul class="legend">{}</ul>').format(items)


def _mark(point: Point, styles: dict[str, str], x_scale: Scale, y_scale: Scale) -> Markup:
    return Markup('<i class="point {}{}" data-code="{}" data-tip="{}" style="{}"></i>').format(
        styles[point.script],
        " worst" if point.is_worst else "",
        point.code,
        point.note,
        _at(x_scale.position(point.hours), y_scale.position(point.error)),
    )


def _at(x: float, y: float) -> str:
    return f"left:{100 * x:.2f}%;bottom:{100 * y:.2f}%"


def _place_names(points: Sequence[Point], x_scale: Scale, y_scale: Scale) -> list[Markup]:
    """Write the names of the languages that stand out wherever no mark and no other name is in the way."""
    places = [(x_scale.position(point.hours), y_scale.position(point.error)) for point in points]
    marks = {size: [_mark_box(*place, size) for place in places] for size in (_DESK, _PHONE)}
    taken: dict[tuple[float, float], list[_Box]] = {_DESK: [], _PHONE: []}
    written: list[Markup] = []
    for index in _outstanding(points, places):
        if len(written) == MAX_NAMES:
            break
        point, place = points[index], places[index]
        for side in ("right", "left"):
            boxes = {size: _name_box(point.name, *place, side, size) for size in (_DESK, _PHONE)}
            free = {size: _is_free(boxes[size], [*marks[size], *taken[size]], size) for size in boxes}
            if not free[_DESK]:
                continue
            for size, box in boxes.items():
                if free[size]:
                    taken[size].append(box)
            kind = f"name {side}{' worst' if point.is_worst else ''}{'' if free[_PHONE] else ' wide-only'}"
            written.append(
                Markup('<span class="{}" aria-hidden="true" style="{}">{}</span>').format(kind, _at(*place), point.name)
            )
            break
    return written


def _outstanding(points: Sequence[Point], places: Sequence[tuple[float, float]]) -> list[int]:
    """Order the points by how far they lie from what their hours let expect; the worst language comes first."""
    xs, ys = zip(*places, strict=True)
    slope, intercept = statistics.linear_regression(xs, ys)
    return sorted(
        range(len(points)),
        key=lambda index: (not points[index].is_worst, -abs(ys[index] - intercept - slope * xs[index])),
    )


def _mark_box(x: float, y: float, size: tuple[float, float]) -> _Box:
    return x * size[0] - _MARK / 2, y * size[1] - _MARK / 2, x * size[0] + _MARK / 2, y * size[1] + _MARK / 2


def _name_box(name: str, x: float, y: float, side: str, size: tuple[float, float]) -> _Box:
    width = _LETTER_WIDTH * len(name)
    left = x * size[0] + _MARK / 2 + 1 if side == "right" else x * size[0] - _MARK / 2 - 1 - width
    return left, y * size[1] - _LINE_HEIGHT / 2, left + width, y * size[1] + _LINE_HEIGHT / 2


def _is_free(box: _Box, others: Sequence[_Box], size: tuple[float, float]) -> bool:
    if box[0] < 0 or box[2] > size[0]:
        return False
    return not any(
        box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3] for other in others
    )
