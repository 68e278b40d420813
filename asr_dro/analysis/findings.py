"""What stands out in a language: one sentence each, with the numbers behind it.

A number stands out if it lies far enough from the median of the other languages to matter, and either three robust
standard deviations (median absolute deviation) or twice as far as matters: a set whose languages differ widely has no
outliers by spread alone, and with fewer than six languages there is no spread to speak of.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from asr_dro.analysis.facts import LanguageFacts
from asr_dro.analysis.statistics import deviation
from asr_dro.analysis.text import time_in_words
from asr_dro.data.languages import languages
from asr_dro.scoring.table import language_name, percent, signed
from asr_dro.scripts import script_name

_Z = 3.0
_FEWEST_OF_SCRIPT = 5  # other languages of a script that make speech rates comparable
_MUCH_WRONG = 0.1  # share of utterances with a wrong language
_OTHER_SCRIPT = 0.2  # share of letters in another script that is no accident


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that stands out.

    Attributes:
        kind: Its name, for other programs.
        text: A sentence for people.
        strength: How far out, 1 being just worth a sentence; the order of sentences.
        value: The language's number, where one number says it.
        others: Median of the other languages.
    """

    kind: str
    text: str
    strength: float
    value: float | None = None
    others: float | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """How a number of ``LanguageFacts.numbers`` is judged.

    Attributes:
        number: Its name there.
        kind: ``Finding.kind``.
        direction: 1: only high values, -1: only low ones.
        step: The least factor (``ratio``) or difference that matters.
        text: Sentence with ``{value}`` and ``{others}``.
        write: Writes both.
        ratio: Compare by factor, not by difference.
        within_script: Compare only with languages of the same script, where there are enough.
    """

    number: str
    kind: str
    direction: int
    step: float
    text: str
    write: Callable[[float], str]
    ratio: bool = True
    within_script: bool = False


def _plain(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def _percent(value: float) -> str:
    return f"{percent(value)} %"


_TYPICAL = "; the other languages' median is {others}"
RULES = (
    Rule("training_hours", "little_audio", -1, 2.0, "little training audio: {value}" + _TYPICAL, time_in_words),
    Rule("training_speakers", "few_speakers", -1, 2.0, "few training speakers: {value}" + _TYPICAL, _plain),
    Rule("duration_s", "long_utterances", 1, 1.5, "long utterances: {value} s" + _TYPICAL + " s", _plain),
    Rule("duration_s", "short_utterances", -1, 1.5, "short utterances: {value} s" + _TYPICAL + " s", _plain),
    Rule(
        "characters_per_s", "fast_text", 1, 1.5,
        "much text for the audio: {value} characters per second" + _TYPICAL, _plain, within_script=True,
    ),
    Rule(
        "characters_per_s", "slow_text", -1, 1.5,
        "little text for the audio: {value} characters per second" + _TYPICAL, _plain, within_script=True,
    ),
    Rule(
        "unseen_share", "unseen_characters", 1, 0.005,
        "{value} of the characters never occur in its training transcripts" + _TYPICAL, _percent, ratio=False,
    ),
    Rule(
        "train_loss_per_character", "underfitted", 1, 1.5,
        "underfitted: the training loss is {value} per character" + _TYPICAL, _plain,
    ),
    Rule(
        "dev_to_train_loss", "memorised", 1, 1.5,
        "memorised: the loss on dev is {value} times the training loss" + _TYPICAL, _plain,
    ),
    Rule("weight", "low_weight", -1, 2.0, "low group weight: {value} times the mean weight" + _TYPICAL, _plain),
    Rule(
        "deletion_share", "deletions", 1, 0.2,
        "text goes missing: {value} of the errors are deletions" + _TYPICAL, _percent, ratio=False,
    ),
    Rule(
        "insertion_share", "insertions", 1, 0.2,
        "text is added: {value} of the errors are insertions" + _TYPICAL, _percent, ratio=False,
    ),
    Rule("empty_share", "empty", 1, 0.05, "{value} of the hypotheses are empty" + _TYPICAL, _percent, ratio=False),
    Rule(
        "other_script_share", "recognised_in_other_script", 1, 0.05,
        "{value} of the recognised letters are in another script" + _TYPICAL, _percent, ratio=False,
    ),
    Rule(
        "suspect_share", "label_noise", 1, 0.02,
        "doubtful transcripts: {value} of the utterances are suspects" + _TYPICAL, _percent, ratio=False,
    ),
    Rule(
        "infeasible_share", "infeasible", 1, 0.005,
        "{value} of the utterances have more labels than the network has frames" + _TYPICAL, _percent, ratio=False,
    ),
)  # fmt: skip


def findings(one: LanguageFacts, all_facts: Sequence[LanguageFacts], *, split: str) -> list[Finding]:
    """List what stands out in a language, the most striking first.

    Args:
        one: The language.
        all_facts: All languages, this one included.
        split: The split, for messages.
    """
    others = [other for other in all_facts if other is not one]
    found = [finding for rule in RULES if (finding := _judge(rule, one, others)) is not None]
    found += [*_script(one, others), *_unknown(one), *_tags(one, others), *_parts(one), *_length(one)]
    found += [*_other_split(one, others, split), *_oracle(one)]
    return sorted(found, key=lambda finding: (-finding.strength, finding.kind))


def _judge(rule: Rule, one: LanguageFacts, others: Sequence[LanguageFacts]) -> Finding | None:
    value = one.numbers.get(rule.number)
    mates = [other for other in others if other.script == one.script]
    peers = mates if rule.within_script and len(mates) >= _FEWEST_OF_SCRIPT else others
    known = [number for peer in peers if (number := peer.numbers.get(rule.number)) is not None]
    if value is None or not known:
        return None
    convert = _log if rule.ratio else float
    step = math.log(rule.step) if rule.ratio else rule.step
    found = deviation(convert(value), [convert(number) for number in known], floor=step / _Z)
    if found is None:
        return None
    distance = rule.direction * found.difference / step
    if distance < 1 or not (distance >= 2 or found.z * rule.direction >= _Z):
        return None
    median = math.exp(found.median) if rule.ratio else found.median
    text = rule.text.format(value=rule.write(value), others=rule.write(median))
    return Finding(rule.kind, text, distance, value, median)


def _log(value: float) -> float:
    return math.log(max(value, 1e-6))  # none at all is very little


def _script(one: LanguageFacts, others: Sequence[LanguageFacts]) -> Iterator[Finding]:
    if others and one.script and one.numbers.get("languages_of_script") == 0:
        yield Finding(
            "lone_script", f"no other language of the set is written in its script ({script_name(one.script)})", 1.5
        )
    known = languages().get(one.language)
    if known and one.script and one.script != known.script:
        text = f"its transcripts are written in {script_name(one.script)}; "
        text += f"its usual script is {script_name(known.script)}"
        yield Finding("unusual_script", text, 2.0)
    mixed = sorted(((share, name) for name, share in one.script_shares.items()), reverse=True)[1:]
    for share, name in mixed:
        if share >= _OTHER_SCRIPT and name not in ("Hani", "Jpan"):  # Japanese is written in both
            yield Finding(
                "two_scripts",
                f"{_percent(share)} of its letters are in another script ({script_name(name)})",
                1.2,
                share,
            )


def _unknown(one: LanguageFacts) -> Iterator[Finding]:
    """Say how many errors characters outside of the vocabulary must cause."""
    share, of_errors = one.numbers.get("unknown_share"), one.numbers.get("unknown_error_share")
    if not share:
        return
    text = f"{percent(share, 2)} % of the characters are not in the vocabulary and cannot be recognised"
    if of_errors:
        text += f": at least {percent(of_errors)} % of the errors"
    strength = max(share / 0.005, (of_errors or 0.0) / 0.05)
    if strength >= 1:
        yield Finding("out_of_vocabulary", text, strength, share)


def _tags(one: LanguageFacts, others: Sequence[LanguageFacts]) -> Iterator[Finding]:
    """Say for which language it is taken, and what that has to do with its errors."""
    if one.tags is None or one.tags["accuracy"] is None or not one.tags["taken_for"]:
        return
    wrong = 1 - one.tags["accuracy"]
    found = deviation(wrong, [1 - other.tags["accuracy"] for other in others if other.tags], floor=_MUCH_WRONG / _Z)
    if wrong < _MUCH_WRONG or (found is not None and found.difference < 0):
        return
    first = one.tags["taken_for"][0]
    taken = f"taken for {_name(first['language'])}" if first["language"] else "given no language"
    text = f"{_percent(wrong)} of the utterances get a wrong language; {percent(first['share'])} % are {taken}"
    right_cer, wrong_cer = one.tags["cer_right"], one.tags["cer_wrong"]
    if right_cer is not None and wrong_cer is not None:
        text += f" (CER {percent(wrong_cer)} % with the wrong language, {percent(right_cer)} % with the right one)"
    yield Finding("wrong_language", text, wrong / _MUCH_WRONG, wrong, None if found is None else found.median)


def _parts(one: LanguageFacts) -> Iterator[Finding]:
    for kind, found in (("speaker", one.speakers), ("corpus", one.corpora)):
        for part in found[:2]:
            rates = f"a CER of {percent(part['cer'])} %, the rest {percent(part['cer_of_rest'])} %"
            text = f"{kind} {part['name']} has {rates}: {percent(part['error_share'])} % of the errors in "
            text += f"{part['n']} of {one.n_utterances} utterances"
            yield Finding(f"worse_{kind}", text, part["error_share"] / 0.1, part["cer"], part["cer_of_rest"])


def _length(one: LanguageFacts) -> Iterator[Finding]:
    if one.length is None or abs(one.length["z"]) < _Z:
        return
    long, short = one.length["long"], one.length["short"]
    ratio = max(long, short) / max(min(long, short), 1e-3)
    if ratio < 1.5:
        return
    kind, which = ("long_worse", "longest") if long > short else ("short_worse", "shortest")
    other = "shortest" if which == "longest" else "longest"
    text = f"the {which} third of its utterances has a CER of {percent(max(long, short))} %, the {other} third"
    yield Finding(kind, f"{text} {percent(min(long, short))} %", ratio / 1.5, max(long, short), min(long, short))


def _other_split(one: LanguageFacts, others: Sequence[LanguageFacts], split: str) -> Iterator[Finding]:
    """Compare with dev (or, for dev, with test): other speakers or texts, or chosen on dev."""

    def gap(facts: LanguageFacts) -> float | None:
        other = facts.numbers.get("other_error")
        return None if other is None or facts.error is None else facts.error - other

    own = gap(one)
    known = [value for other in others if (value := gap(other)) is not None]
    found = None if own is None else deviation(own, known, floor=0.05 / _Z)
    if own is None or own < 0.05 or (found is not None and found.difference < 0.05):
        return
    if found is not None and found.difference < 0.1 and not found.z >= _Z:
        return
    second = "dev" if split != "dev" else "test"
    text = f"{_percent(one.error or 0.0)} errors on {split}, {_percent(one.numbers['other_error'] or 0.0)} on {second}"
    others_text = f"; the other languages' median difference is {signed(100 * found.median, 1)} points" if found else ""
    yield Finding("worse_split", text + others_text, own / 0.05, own, None if found is None else found.median)


def _oracle(one: LanguageFacts) -> Iterator[Finding]:
    """Say whether the search had better hypotheses at hand."""
    oracle = one.numbers.get("oracle_error")
    if oracle is None or not one.error or oracle > 0.7 * one.error:
        return
    text = f"a better choice among the n best hypotheses would give a CER of {percent(oracle)} %"
    yield Finding("better_in_nbest", text, one.error / max(oracle, 0.01 * one.error) * 0.7, oracle)


def _name(code: str) -> str:
    name = language_name(code)
    return f"{name} ({code})" if name else code
