"""References and hypotheses: read, matched one to one, the language tag split off."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from asr_dro.errors import UserError
from asr_dro.scoring.error_rate import canonical

N_NAMED = 5  # how many utterances a message names before it says "and N more"

# The tag is a token of its own, at the very start: "[fin] hyvää". Anything like it further on is text, and is scored.
_LANGUAGE_TAG = re.compile(r"\[([^\s\[\]]+)\]")


@dataclass(frozen=True, slots=True)
class Reference:
    """What is known of an utterance before decoding.

    Attributes:
        utt_id: Its id.
        text: Canonical transcript without language tag.
        language: ISO 639-3 label.
        group: Name of the group, the language unless ``utt2group`` says otherwise.
        speaker: Speaker id, empty if unknown.
        duration_s: Duration as written in ``utt2dur``, empty if unknown.
        wav: Path or command as written in ``wav.scp``, empty if unknown.
    """

    utt_id: str
    text: str
    language: str
    group: str
    speaker: str
    duration_s: str
    wav: str


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What the decoder wrote: canonical text without language tag, and the tag's label or ``None``."""

    text: str
    language: str | None


def split_language_tag(line: str) -> Hypothesis:
    """Split ``[iso] words ...`` into label and text.

    Args:
        line: A hypothesis without its utterance id. Only a first token that is a tag as a whole counts as one.

    Returns:
        The canonical text and the label, ``None`` where there is no tag.
    """
    text = canonical(line)
    first, _, rest = text.partition(" ")
    match = _LANGUAGE_TAG.fullmatch(first)
    return Hypothesis(rest, match.group(1)) if match else Hypothesis(text, None)


def read_table(path: Path) -> dict[str, str]:
    """Read a Kaldi table, ``key value ...`` per line; the value may be empty.

    Args:
        path: The file, UTF-8.

    Returns:
        Value by key, in the file's order.

    Raises:
        UserError: If the file is missing, is not UTF-8, or has a key twice or a line without a key.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 at byte {error.start}; write the file as UTF-8") from error
    table: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), start=1):  # splitlines() would also break at U+2028
        parts = line.split(maxsplit=1)
        if not parts:
            continue
        key, value = parts[0], parts[1] if len(parts) == 2 else ""
        if key in table:
            raise UserError(f"{path}:{number}: {key} is there twice; each utterance must have exactly one line")
        table[key] = value.rstrip()
    return table


def read_references(split_dir: Path) -> list[Reference]:
    """Read the references of one split, sorted by utterance id.

    Args:
        split_dir: Data directory with ``text`` and ``utt2lang``; ``utt2group utt2spk utt2dur wav.scp`` are optional.

    Returns:
        One entry per line of ``text``.

    Raises:
        UserError: If a table is missing or broken, or lacks an utterance that ``text`` has.
    """
    texts = read_table(split_dir / "text")
    languages = read_table(split_dir / "utt2lang")
    _require(texts, languages, split_dir / "utt2lang")
    optional = {}
    for name in ("utt2group", "utt2spk", "utt2dur", "wav.scp"):
        path = split_dir / name
        optional[name] = read_table(path) if path.exists() else {}
        if path.exists():
            _require(texts, optional[name], path)
    return [
        Reference(
            utt_id=utt,
            text=canonical(texts[utt]),
            language=languages[utt],
            group=optional["utt2group"].get(utt, languages[utt]),
            speaker=optional["utt2spk"].get(utt, ""),
            duration_s=optional["utt2dur"].get(utt, ""),
            wav=optional["wav.scp"].get(utt, ""),
        )
        for utt in sorted(texts)
    ]


def read_hypotheses(path: Path) -> dict[str, Hypothesis]:
    """Read ``utt [iso] words ...`` lines; the tag and the words may be missing."""
    return {utt: split_language_tag(line) for utt, line in read_table(path).items()}


def check_one_to_one(references: Iterable[str], hypotheses: Iterable[str], *, where: str) -> None:
    """Refuse to score if an utterance lacks its hypothesis or a hypothesis its reference.

    Args:
        references: Utterance ids of the references.
        hypotheses: Utterance ids of the hypotheses.
        where: The hypothesis file, for the message.

    Raises:
        UserError: Naming the first utterances on either side.
    """
    expected, found = set(references), set(hypotheses)
    problems = []
    if missing := sorted(expected - found):
        problems.append(f"{len(missing)} of {len(expected)} utterances have no hypothesis: {_some(missing)}")
    if surplus := sorted(found - expected):
        problems.append(f"{len(surplus)} hypotheses have no reference: {_some(surplus)}")
    if problems:
        raise UserError(f"{where}: {'; '.join(problems)}. Decode this split again (stage 5) from the same data.")


def _require(texts: Mapping[str, str], table: Mapping[str, str], path: Path) -> None:
    """Raise if ``table`` has no value for one of the utterances."""
    if missing := [utt for utt in texts if not table.get(utt)]:
        raise UserError(f"{path}: no value for {len(missing)} utterances of text: {_some(missing)}")


def _some(names: list[str]) -> str:
    """Name the first few of a list."""
    more = f" and {len(names) - N_NAMED} more" if len(names) > N_NAMED else ""
    return ", ".join(names[:N_NAMED]) + more
