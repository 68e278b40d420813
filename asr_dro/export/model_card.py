"""The card of an exported model: what it recognises, what it learned from, how well it does language by language."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asr_dro.data.languages import languages
from asr_dro.data.tokens import tag_language
from asr_dro.errors import UserError
from asr_dro.experiment import CHECKPOINTS, DECODE_PREFIX, ENVIRONMENT, SCORES, SELECTION
from asr_dro.scoring.files import read_scores

TASK = "automatic-speech-recognition"
_UNKNOWN = "unknown: set it"
_RATES = {"cer": "CER", "wer": "WER"}


@dataclass(frozen=True)
class Facts:
    """What an experiment says of itself.

    Attributes:
        name: Of the experiment.
        arguments: ESPnet's arguments of the training.
        environment: Content of environment.json; empty if there is none.
        selection: Content of selection.json; empty if there is none.
        decode: Name of the decoding of ``scores``.
        scores: Content of test's scores.json; None if it was not scored.
        hours: Audio of the training, None if the prepared set is gone.
    """

    name: str
    arguments: Mapping[str, Any]
    environment: Mapping[str, Any]
    selection: Mapping[str, Any]
    decode: str
    scores: Mapping[str, Any] | None
    hours: float | None

    @property
    def labels(self) -> list[str]:
        """The languages that have a tag; without tags those of the scores, or else of the groups."""
        tagged = sorted(filter(None, map(tag_language, self.arguments["token_list"])))
        scored = sorted(self.scores["cer"]["by_language"]) if self.scores else []
        groups = self.arguments.get("model_conf", {}).get("group_names", [])
        return tagged or scored or sorted(name for name in groups if name in languages())

    @property
    def data(self) -> str:
        """Name of the prepared set."""
        return Path(str(self.arguments.get("data_set") or "unknown")).name


def read_facts(experiment: Path, arguments: Mapping[str, Any]) -> Facts:
    """Collect what the card says.

    Args:
        experiment: Folder of a finished training.
        arguments: ESPnet's arguments of the training.

    Raises:
        UserError: If a file of scores is damaged.
    """
    found = sorted(experiment.glob(f"{DECODE_PREFIX}*/test/{SCORES}"), key=lambda path: "greedy" not in path.parts[-3])
    return Facts(
        experiment.resolve().name,
        arguments,
        _json(experiment / ENVIRONMENT),
        _json(experiment / CHECKPOINTS / SELECTION),
        found[0].parts[-3].removeprefix(DECODE_PREFIX) if found else "",
        read_scores(found[0]) if found else None,
        _hours(arguments),
    )


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    return content if isinstance(content, dict) else {}


def _hours(arguments: Mapping[str, Any]) -> float | None:
    from asr_dro.data.data_dir import SAMPLE_RATE_HZ
    from asr_dro.data.packed_columns import read_integers

    path = Path(str(arguments.get("data_set"))) / "train" / "utt2num_samples"
    if not path.is_file():
        return None
    samples = read_integers(path)[1]
    return sum(int(samples[position][0]) for position in range(len(samples))) / SAMPLE_RATE_HZ / 3600


def card(facts: Facts, *, library: str, usage: str) -> str:
    """Return the text of README.md.

    Args:
        facts: What there is to say.
        library: ``transformers`` or ``espnet``, as the hub names it.
        usage: Python code that uses the model.
    """
    sections = [
        f"---\n{_metadata(facts, library)}---",
        f"# {facts.name}",
        _summary(facts),
        f"## Use\n\n```python\n{usage.strip()}\n```",
        _training(facts),
        _results(facts),
        f"## Licence\n\n{_UNKNOWN}. It depends on those of the training data"
        + (" and of the pretrained weights." if _pretrained(facts) else "."),
    ]
    return "\n\n".join(section.strip() for section in sections) + "\n"


def _metadata(facts: Facts, library: str) -> str:
    """Return what the hub reads, with the results in its form (model-index)."""
    from huggingface_hub import EvalResult, ModelCardData

    scores = facts.scores or {}
    results = []
    for key, shown in _RATES.items():
        mean = scores.get(key, {}).get("mean")
        if mean is not None:
            named = {f"{shown}, mean of languages": mean, f"{shown}, worst language": scores[key]["worst"]}
            results += [_result(facts, key, name, value) for name, value in named.items()]
            by_language = scores[key]["by_language"].items()
            results += [
                _result(facts, key, f"{shown}, {label}", rate) for label, rate in by_language if rate is not None
            ]
    codes = sorted({_code(label) for label in facts.labels})
    data: Any = ModelCardData(
        language=codes,
        license="unknown",
        library_name=library,
        pipeline_tag=TASK,
        tags=["asr_dro", "ctc", str(facts.arguments.get("model_conf", {}).get("objective", "ctc"))],
        model_name=facts.name,
        eval_results=[EvalResult(**result) for result in results] or None,
    )
    text: str = data.to_yaml()
    return text.rstrip("\n") + "\n"


def _result(facts: Facts, key: str, name: str, value: float) -> dict[str, Any]:
    return {
        "task_type": TASK,
        "dataset_type": facts.data,
        "dataset_name": facts.data,
        "dataset_split": "test",
        "metric_type": key,
        "metric_name": name,
        "metric_value": round(value, 6),
    }


def _code(label: str) -> str:
    """Return the ISO 639-3 code of a label."""
    known = languages().get(label)
    return known.iso639_3 if known is not None else label


def _name(label: str) -> str:
    known = languages().get(label)
    return known.name if known is not None else label


def _summary(facts: Facts) -> str:
    count = len(facts.labels)
    named = ", ".join(f"{_name(label)} (`{label}`)" for label in facts.labels)
    tags = any(map(tag_language, facts.arguments["token_list"]))
    spoken = "It begins a transcript with the tag of the language that it heard, such as `[fin]`." if tags else ""
    return (
        f"Speech recognition for {count} language{'s' if count != 1 else ''}, trained with asr_dro: {named}. {spoken}"
    )


def _training(facts: Facts) -> str:
    conf = facts.arguments.get("model_conf", {})
    options = ", ".join(f"{key} {value}" for key, value in (conf.get("objective_conf") or {}).items())
    epochs = [str(entry["epoch"]) for entry in facts.selection.get("averaged", [])]
    rows = {
        "Training data": facts.data + (f", {facts.hours:.1f} hours" if facts.hours is not None else ""),
        "Licence of the training data": _UNKNOWN,
        "Objective": f"{conf.get('objective', 'unknown')}" + (f" ({options})" if options else ""),
        "Groups": f"{len(conf.get('group_names', []))}",
        "Encoder": str(facts.arguments.get("encoder")),
        "Pretrained weights": ", ".join(_pretrained(facts)),
        "Epochs averaged": ", ".join(epochs),
        "Selected by": str(facts.selection.get("select_by", "")),
        "Seed": str(facts.arguments.get("seed", "")),
        "Versions": ", ".join(f"{name} {version}" for name, version in facts.environment.get("versions", {}).items()),
        "Commit": str(facts.environment.get("commit") or ""),
    }
    lines = [f"| {name} | {value} |" for name, value in rows.items() if value]
    return "\n".join(["## Training", "", "| | |", "|---|---|", *lines])


def _pretrained(facts: Facts) -> list[str]:
    """Return the names of pretrained weights; of a file on the machine of the training, its own name alone."""
    names: dict[str, None] = {}
    for found in facts.environment.get("checkpoints", {}).values():
        name = str(found.get("name"))
        names[name if found.get("commit") else Path(name).name] = None
    return list(names)


def _results(facts: Facts) -> str:
    if facts.scores is None:
        return "## Results\n\nNot scored."
    scores = facts.scores
    columns = {"CER %": scores["cer"], "WER %": scores["wer"], "language right %": scores["lid_accuracy"]}
    columns = {title: values for title, values in columns.items() if values.get("mean") is not None}
    counts = scores["counts"]["by_language"]
    rows = [["language", *columns, "utterances"], ["---", *["---:"] * (len(columns) + 1)]]
    for label in counts:
        rates = [_percent(values["by_language"].get(label)) for values in columns.values()]
        rows.append([f"{_name(label)} `{label}`", *rates, str(counts[label]["n_utterances"])])
    for title, key in (
        ("**mean of languages**", "mean"),
        ("standard deviation", "sd"),
        ("**worst language**", "worst"),
    ):
        rates = [_percent(values.get(key)) for values in columns.values()]
        worst = [f" `{values['worst_language']}`" if key == "worst" else "" for values in columns.values()]
        shown = [rate + label for rate, label in zip(rates, worst, strict=True)]
        rows.append([title, *shown, str(scores["n_utterances"]) if key == "mean" else ""])
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return (
        f"## Results\n\nTest set of {facts.data}, {facts.decode} decoding, texts normalised as {scores['profile']}; "
        f"each language counts once in the mean.\n\n{table}"
    )


def _percent(rate: float | None) -> str:
    return "" if rate is None else f"{100 * rate:.1f}"
