"""What was run: command, commit, versions, host; and which clips were set aside."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from asr_dro.report.formats import number
from asr_dro.report.inputs import Inputs
from asr_dro.scoring.files import GIVEN

N_REASONS = 20
N_OUT_OF_VOCABULARY = 20
_NUMBER = re.compile(r"\d+(\.\d+)?")  # reasons that differ in numbers only ("21.3 s is longer than ...") are one
SHORT_COMMIT = 12


def run_facts(inputs: Inputs) -> list[tuple[str, str]]:
    """List what is known of the run, as pairs of name and text."""
    environment = inputs.environment
    commit = str(environment.get("commit") or "")[:SHORT_COMMIT]
    if commit and environment.get("dirty"):
        commit += " with uncommitted changes"
    facts = {
        "Command": _text(environment.get("command")),
        "Commit": commit,
        "Started": _text(environment.get("created")),
        "Host": _host(environment.get("host")),
        "Versions": _versions(environment.get("versions")),
        "Data": str(inputs.sources.data_dir),
        "Waiting for data": _waiting(inputs.epochs),
        "Decoding": _decoding(inputs, inputs.sources.decode),
        "Scores": f"profile {inputs.main_scores.get('profile', 'unknown')}",
    }
    return [(name, value) for name, value in facts.items() if value]


def quarantine_summary(inputs: Inputs) -> dict[str, Any] | None:
    """Count the clips that stage 1 set aside, by reason; ``None`` without ``quarantine.tsv``.

    Returns:
        ``n`` clips, ``reasons`` (reason, clips, languages, splits), ``n_more`` reasons that are not listed.
    """
    if inputs.quarantine is None:
        return None
    by_kind: dict[str, Counter[tuple[str, str, str]]] = {}
    for row, n in inputs.quarantine.items():
        by_kind.setdefault(_NUMBER.sub("…", row[2]), Counter())[row] += n
    reasons = [
        {
            "reason": kind if len({reason for _, _, reason in rows}) > 1 else next(iter(rows))[2],
            "n": rows.total(),
            "languages": _names(language for language, _, _ in rows),
            "splits": _names(split for _, split, _ in rows),
        }
        for kind, rows in sorted(by_kind.items(), key=lambda item: (-item[1].total(), item[0]))
    ]
    n_more = max(0, len(reasons) - N_REASONS)
    return {"n": inputs.quarantine.total(), "reasons": reasons[:N_REASONS], "n_more": n_more}


def vocabulary_summary(inputs: Inputs) -> dict[str, Any] | None:
    """Pick the languages with most characters out of the vocabulary; ``None`` without ``oov.tsv``.

    Returns:
        ``rows`` (language, split, characters, out_of_vocabulary, share, commonest), ``n_more`` that are not listed.
    """
    if inputs.out_of_vocabulary is None:
        return None
    numbers = ("characters", "out_of_vocabulary", "share")
    found: list[dict[str, Any]] = [
        {**row, **{name: number(row[name]) or 0.0 for name in numbers}} for row in inputs.out_of_vocabulary
    ]
    lacking = [row for row in found if row["out_of_vocabulary"]]
    lacking.sort(key=lambda row: (-row["share"], row["language"], row["split"]))
    return {"rows": lacking[:N_OUT_OF_VOCABULARY], "n_more": max(0, len(lacking) - N_OUT_OF_VOCABULARY)}


def subtitle(inputs: Inputs) -> list[str]:
    """Name the choices that made the run, as far as the configuration says."""
    config = inputs.config
    return [str(config[key]) for key in ("encoder", "objective") if config.get(key)] + [
        _decoding(inputs, f"{inputs.sources.decode} decoding")
    ]


def _decoding(inputs: Inputs, name: str) -> str:
    """Name the decoding, and say if it was told the languages."""
    return f"{name}, languages given" if inputs.main_scores.get("languages") == GIVEN else name


def _waiting(epochs: list[dict[str, Any]]) -> str:
    """Write the share of the training's time in which it waited for audio, if the epochs say so."""
    measured = [epoch for epoch in epochs if isinstance(epoch.get("data_wait_share"), int | float)]
    seconds = sum(epoch["seconds"] for epoch in measured)
    if not seconds:
        return ""
    waited_s = sum(epoch["data_wait_share"] * epoch["seconds"] for epoch in measured)
    return f"{100 * waited_s / seconds:.1f} % of the training's time"


def _names(values: Iterable[str]) -> str:
    """List different values, the first few by name."""
    names = sorted(set(values))
    return " ".join(names) if len(names) <= 8 else f"{' '.join(names[:8])} and {len(names) - 8} more"


def _host(host: Any) -> str:
    if not isinstance(host, Mapping):
        return _text(host)
    parts = [_text(host.get("cpu"))]
    if host.get("cores"):
        parts.append(f"{host['cores']} cores")
    if isinstance(host.get("memory_gb"), int | float):
        parts.append(f"{host['memory_gb']:.0f} GB")
    parts.append(_text(host.get("gpu")) or "no GPU")
    return ", ".join(part for part in parts if part)


def _versions(versions: Any) -> str:
    if not isinstance(versions, Mapping):
        return _text(versions)
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _text(value: Any) -> str:
    """Write a value that may be missing, a string or a list of words."""
    if value is None:
        return ""
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
