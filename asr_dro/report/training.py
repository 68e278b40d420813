"""Sections on training: learning curves, and the group weights over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from asr_dro.report import plot
from asr_dro.report.formats import name_of, number, percent, percent_tick, tick
from asr_dro.report.inputs import Inputs
from asr_dro.report.languages import main_measure

MAX_POINTS = 200  # of one line; an update every second for a day would be 86,400
MAX_ALL_POINTS = 12_000  # of all lines of one chart: what keeps the file small with many groups
LAST_SHARE = 0.1  # the last tenth of the updates gives the mean loss for the fixed point
N_HEAVIEST = 3  # groups with the largest weights that stand out in a chart of all
MAX_SMALL_CHARTS = 24  # shown at once; the rest folds


def learning_curves(inputs: Inputs) -> dict[str, Any] | None:
    """Prepare the curves over epochs, ``None`` without ``train.jsonl``.

    Returns:
        ``loss`` and ``errors`` charts (empty where there are no numbers), ``measure`` that the second shows, ``small``
        charts per language, ``epochs`` rows.
    """
    epochs = [epoch for epoch in inputs.epochs if number(epoch.get("epoch")) is not None]
    if not epochs:
        return None
    kind = _main_error(epochs)
    small = _small_charts(epochs, kind)
    return {
        "loss": _loss_chart(epochs),
        "errors": _error_chart(epochs, kind),
        "measure": "CER" if kind == "cer" else "LID error",
        "small": small[:MAX_SMALL_CHARTS],
        "small_folded": small[MAX_SMALL_CHARTS:],
        "epochs": [_epoch_row(epoch, kind) for epoch in epochs],
    }


def group_weights(inputs: Inputs) -> dict[str, Any] | None:
    """Prepare the group weights and losses over updates, ``None`` without ``groups.jsonl``.

    Returns:
        ``q`` and ``loss`` charts, ``rows`` of the table, ``smoothing`` (``None`` unless the objective is ctc_dro),
        ``n_updates``, ``n_last`` updates that the mean loss is taken over.
    """
    updates = [update for update in inputs.updates if isinstance(update.get("q"), dict)]
    if not updates:
        return None
    names = sorted(updates[-1]["q"])
    final = {name: number(updates[-1]["q"][name]) for name in names}
    ranked = sorted(names, key=lambda name: (-(final[name] or 0.0), name))
    n_last = max(1, round(LAST_SHARE * len(updates)))
    losses = {name: _mean_of([_value(update, "loss", name) for update in updates[-n_last:]]) for name in names}
    smoothing = _smoothing(inputs.config)
    expected = fixed_point(losses, smoothing) if smoothing is not None else {}
    worst = worst_language(inputs)
    rows = [
        {
            "code": name,
            "name": name_of(name),
            "is_worst": name == worst,
            "q": final[name],
            "fixed_point": expected.get(name),
            "loss": losses[name],
            "visits": sum(_value(update, "visits", name) or 0.0 for update in updates),
        }
        for name in ranked
    ]
    return {
        "q": _group_chart(updates, ranked, "q", worst, label="Weight of each group over the updates"),
        "loss": _group_chart(updates, ranked, "loss", worst, label="Loss of each group over the updates"),
        "rows": rows,
        "smoothing": smoothing,
        "n_updates": _n_updates(updates),
        "n_last": _n_updates(updates[-n_last:]),
        "worst": worst if worst in names else "",
    }


def _n_updates(updates: Sequence[Mapping[str, Any]]) -> int:
    """Count updates; a record may stand for several."""
    return sum(int(number(update.get("n_updates")) or 1) for update in updates)


def worst_language(inputs: Inputs) -> str:
    """Return the code of the worst language of the split that the headline is about; empty if there is none."""
    scores = inputs.scores.get(inputs.sources.main_split)
    return str(main_measure(scores).summary["worst_language"] or "") if scores else ""


def fixed_point(losses: Mapping[str, float | None], smoothing: float) -> dict[str, float]:
    """Say where the weights of CTC-DRO come to rest if the losses stay as they are.

    Args:
        losses: Loss of each group; groups without a loss take no part.
        smoothing: The constant alpha.

    Returns:
        Weight by group, adding up to 1; empty if no group has a loss.
    """
    from asr_dro.objectives import ctc_dro_fixed_point  # only runs with group weights need it

    known = {name: loss for name, loss in losses.items() if loss is not None and loss >= 0}
    return dict(zip(known, ctc_dro_fixed_point(list(known.values()), smoothing), strict=True)) if known else {}


def _smoothing(config: Mapping[str, Any]) -> float | None:
    """Read the constant alpha from the configuration if the objective is CTC-DRO."""
    from asr_dro.objectives import OBJECTIVES

    if config.get("objective") != "ctc_dro":
        return None
    conf = {**OBJECTIVES["ctc_dro"].defaults, **(config.get("objective_conf") or {})}
    return number(conf["smoothing"])


def _loss_chart(epochs: Sequence[dict[str, Any]]) -> str:
    lines = [
        plot.Line(name, [(epoch["epoch"], _get(epoch, part, "loss")) for epoch in epochs], style)
        for name, part, style in (("training", "train", "second"), ("dev", "dev", "main"))
    ]
    label = "Loss of training and dev data over the epochs"
    return _chart_or_nothing(lines, label=label, y_format=tick, log=True)


def _main_error(epochs: Sequence[dict[str, Any]]) -> str:
    """Name the key of dev's errors: those of languages where labels have no text."""
    has_text = any(_get(epoch, "dev", "cer", "mean") is not None for epoch in epochs)
    has_languages = any(_get(epoch, "dev", "lid_error", "mean") is not None for epoch in epochs)
    return "lid_error" if has_languages and not has_text else "cer"


def _error_chart(epochs: Sequence[dict[str, Any]], kind: str) -> str:
    worst_notes = [
        f"epoch {epoch['epoch']}: {name_of(str(_raw(epoch, 'dev', kind, 'worst_language')))} "
        f"{percent(_get(epoch, 'dev', kind, 'worst'))} %"
        for epoch in epochs
    ]
    mean_notes = [f"epoch {epoch['epoch']}: mean {percent(_get(epoch, 'dev', kind, 'mean'))} %" for epoch in epochs]
    lines = [
        plot.Line(name, [(epoch["epoch"], _get(epoch, "dev", kind, key)) for epoch in epochs], style, notes)
        for name, key, style, notes in (
            ("mean of languages", "mean", "second", mean_notes),
            ("worst language", "worst", "main", worst_notes),
        )
    ]
    what = "Character error rate" if kind == "cer" else "Share of utterances given a wrong language"
    label = f"{what} on dev over the epochs, mean of languages and worst language"
    return _chart_or_nothing(lines, label=label, y_format=percent_tick, log=False)


def _chart_or_nothing(lines: list[plot.Line], *, label: str, y_format: Any, log: bool) -> str:
    """Draw the lines that have a value at all."""
    lines = [line for line in lines if any(y is not None for _, y in line.points)]
    return plot.line_plot(lines, label=label, x_name="epoch", y_format=y_format, log=log) if lines else ""


def _small_charts(epochs: Sequence[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """Draw the dev error of each language on one common scale, the worst at the end of training first."""
    rates = [_raw(epoch, "dev", kind, "by_language") for epoch in epochs]
    known = [rate if isinstance(rate, dict) else {} for rate in rates]
    names = sorted({name for rate in known for name in rate})
    curves = {
        name: [(epoch["epoch"], number(rate.get(name))) for epoch, rate in zip(epochs, known, strict=True)]
        for name in names
    }
    top = max((y for curve in curves.values() for _, y in curve if y is not None), default=1.0)
    last = {name: next((y for _, y in reversed(curve) if y is not None), None) for name, curve in curves.items()}
    ranked = sorted((name for name in names if last[name] is not None), key=lambda name: (-(last[name] or 0.0), name))
    return [
        {
            "code": name,
            "name": name_of(name),
            "last": last[name],
            "best": min(y for _, y in curves[name] if y is not None),
            "chart": plot.sparkline(curves[name], top=top, style="main" if name == ranked[0] else "second"),
        }
        for name in ranked
    ]


def _epoch_row(epoch: dict[str, Any], kind: str) -> dict[str, Any]:
    """Pick what the table of epochs shows."""
    plain = (
        "epoch",
        "updates",
        "lr",
        "seconds",
        "audio_s_per_s",
        "padding",
        "nonfinite_steps",
        "infeasible_utterances",
    )
    return {
        **{name: number(epoch.get(name)) for name in plain},
        "train_loss": _get(epoch, "train", "loss"),
        "dev_loss": _get(epoch, "dev", "loss"),
        "dev_mean": _get(epoch, "dev", kind, "mean"),
        "dev_worst": _get(epoch, "dev", kind, "worst"),
        "worst_language": _raw(epoch, "dev", kind, "worst_language") or "",
    }


def _group_chart(updates: list[dict[str, Any]], ranked: list[str], key: str, worst: str, *, label: str) -> str:
    """Draw one line per group; those with the largest final weights and the worst language stand out."""
    n_points = max(2, min(MAX_POINTS, MAX_ALL_POINTS // len(ranked)))
    named = ranked[:N_HEAVIEST] + ([worst] if worst in ranked[N_HEAVIEST:] else [])
    styles = dict(zip(named, plot.NAMED_STYLES, strict=False))
    lines = []
    for name in [*named, *(name for name in ranked if name not in named)]:
        title = f"{name_of(name)} (worst language)" if name == worst else name_of(name)
        points = _points(updates, key, name, n_points)
        lines.append(plot.Line(title, points, styles.get(name, "faint"), code=name))
    lines.reverse()  # the last is drawn on top
    return plot.line_plot(lines, label=label, x_name="update", y_format=tick, log=key == "loss")


def _points(
    updates: Sequence[Mapping[str, Any]], key: str, name: str, n_points: int
) -> list[tuple[float, float | None]]:
    """Return at most ``n_points`` points of a group: means over neighbouring updates, which skip those without a value.

    Group DRO updates after every batch, where a single group has a loss: single updates would draw gaps only.
    """
    size = -(-len(updates) // n_points)
    chunks = [updates[start : start + size] for start in range(0, len(updates), size)]
    return [(chunk[-1]["update"], _mean_of([_value(update, key, name) for update in chunk])) for chunk in chunks]


def _value(update: Mapping[str, Any], key: str, name: str) -> float | None:
    values = update.get(key)
    value = values.get(name) if isinstance(values, dict) else None
    return value if type(value) is float and isfinite(value) else number(value)  # mostly, and there are millions


def _mean_of(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _raw(record: Any, *path: str) -> Any:
    """Follow keys through nested objects; ``None`` where one is missing."""
    for key in path:
        record = record.get(key) if isinstance(record, dict) else None
    return record


def _get(record: Any, *path: str) -> float | None:
    """Follow keys to a finite number."""
    return number(_raw(record, *path))
