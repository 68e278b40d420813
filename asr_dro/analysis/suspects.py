"""Utterances whose transcript may be wrong, by what is odd about them within their own language.

Each reason alone can be innocent: a hard recording, an unusual name. Reasons are therefore listed with every suspect,
and suspects with more and stronger reasons come first. Which transcripts are wrong only listening tells.

Legend: ``N`` utterances of a language.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Indel
from rapidfuzz.process import cdist

from asr_dro.analysis.inputs import LanguageUtterances
from asr_dro.analysis.statistics import Floats, robust_z
from asr_dro.analysis.writing import CharacterPairs, count_scripts, family, main_script, script_of_character
from asr_dro.scoring.table import language_name, percent

LOSS_Z = 4.0  # of the loss per character within the language
ERROR_Z = 4.0  # of the error rate
LEAST_ERROR = 0.5  # error rate below which a transcript is near enough to what was heard
RATE_Z = 5.0  # of the logarithm of characters per second
PAIRS_Z = -3.5  # of the log-probability of the text in its language
MARGIN = 0.5  # nats per pair of characters by which another language must be likelier
AGREEMENT = 0.6  # similarity of a hypothesis with the reference of another utterance
AGREEMENT_GAIN = 0.3  # over the similarity with its own
SURPLUS = 0.3  # share of a reference that a hypothesis has in addition, or lacks
SHORTEST = 8  # characters of a text that can be judged as text
MOST_CANDIDATES = 50  # of a language that are compared with other references
MOST_REFERENCES = 2_000  # of a language that they are compared with


@dataclass(frozen=True, slots=True)
class Suspect:
    """An utterance with its reasons.

    Attributes:
        language: Its language.
        index: Its place among the language's utterances.
        reasons: Sentences by kind.
        score: Sum of the reasons' strengths; the order of suspects.
    """

    language: str
    index: int
    reasons: dict[str, str]
    score: float


class _Reasons:
    """Collects reasons by utterance."""

    def __init__(self) -> None:
        self.by_index: dict[int, dict[str, str]] = {}
        self.scores: dict[int, float] = {}

    def add(self, index: int, kind: str, text: str, strength: float) -> None:
        reasons = self.by_index.setdefault(int(index), {})
        if kind not in reasons:
            reasons[kind] = text
            self.scores[int(index)] = self.scores.get(int(index), 0.0) + strength


def find_suspects(
    utterances: Mapping[str, LanguageUtterances],
    scripts: Mapping[str, str],
    losses: Mapping[str, float] | None = None,
) -> list[Suspect]:
    """Find doubtful transcripts in all languages.

    Args:
        utterances: By language.
        scripts: Script of each language.
        losses: Loss per label of the reference by utterance id, from a pass with the model; None without one.

    Returns:
        The most doubtful first.
    """
    pairs = CharacterPairs({language: members.references for language, members in utterances.items()})
    found = []
    for language, members in utterances.items():
        reasons = _Reasons()
        _add_loss(reasons, members, losses or {})
        odd = _add_errors(reasons, language, members) | _add_rate(reasons, members)
        _add_script(reasons, members, scripts.get(language, ""))
        odd |= _unusual_text(language, members, pairs)
        _add_other_language(reasons, language, members, pairs, odd)
        _add_swapped(reasons, members, odd)
        found += [Suspect(language, i, why, reasons.scores[i]) for i, why in reasons.by_index.items()]
    return sorted(found, key=lambda one: (-one.score, one.language, one.index))


def _add_loss(reasons: _Reasons, members: LanguageUtterances, losses: Mapping[str, float]) -> None:
    values = np.array([losses.get(utt_id, np.nan) for utt_id in members.utt_ids])
    z = robust_z(values, floor=0.1)
    for index in np.flatnonzero(z >= LOSS_Z):
        text = f"loss of the reference {values[index]:.2f} per label, {z[index]:.1f} standard deviations above"
        reasons.add(index, "loss", text + " its language's median", min(3.0, float(z[index]) / LOSS_Z))


def _add_errors(reasons: _Reasons, language: str, members: LanguageUtterances) -> NDArray[np.bool_]:
    """Add error rates far above the language's; return which utterances have one, (N,)."""
    rates = members.error_rates
    z = robust_z(rates, floor=0.05)
    odd: NDArray[np.bool_] = (z >= ERROR_Z) & (rates >= LEAST_ERROR)
    typical = float(np.nanmedian(rates)) if np.isfinite(rates).any() else np.nan
    for index in np.flatnonzero(odd):
        text = f"CER {percent(float(rates[index]))} %, the language's median is {percent(typical)} %"
        reasons.add(index, "error", text, 0.5)
        tag = members.tags[index]
        if tag not in ("", language):
            reasons.add(index, "heard_language", f"the model hears {language_name(tag) or tag}", 0.5)
    _add_cut(reasons, members, typical)
    return odd


def _add_cut(reasons: _Reasons, members: LanguageUtterances, typical: float) -> None:
    """Add references that the hypothesis contains and goes beyond, and those of which it has a part only."""
    length = np.maximum(members.reference_length, 1)
    surplus, lack = members.insertions / length, members.deletions / length
    other_insertions = (members.substitutions + members.deletions) / length
    heard = np.maximum(members.reference_length - members.deletions, 1)  # characters that something was recognised of
    other_deletions = (members.substitutions + members.insertions) / heard
    near = min(0.4, max(0.25, 1.5 * typical)) if np.isfinite(typical) else 0.0
    long_enough = members.reference_length >= SHORTEST
    for kind, share, rest, words in (
        ("reference_short", surplus, other_insertions, "more text is recognised than the transcript has"),
        ("reference_long", lack, other_deletions, "the transcript has more text than is recognised"),
    ):
        z = robust_z(share, floor=0.05)
        for index in np.flatnonzero((z >= RATE_Z) & (share >= SURPLUS) & (rest <= near) & long_enough):
            n = int(members.insertions[index] if kind == "reference_short" else members.deletions[index])
            text = f"{words}: {n} characters beside {int(members.reference_length[index])}, the rest agrees"
            reasons.add(index, kind, text, 1.0)


def _add_rate(reasons: _Reasons, members: LanguageUtterances) -> NDArray[np.bool_]:
    """Add transcripts too long or short for their audio; return which, (N,)."""
    rates = members.characters_per_s
    z = robust_z(np.log(rates, out=np.full(len(members), np.nan), where=rates > 0), floor=0.1)
    odd: NDArray[np.bool_] = np.abs(z) >= RATE_Z
    for index in np.flatnonzero(odd):
        words = "much" if z[index] > 0 else "little"
        text = f"{words} text for the audio: {rates[index]:.1f} characters per second, the language's median is"
        reasons.add(index, "rate", f"{text} {np.nanmedian(rates):.1f}", min(2.0, abs(float(z[index])) / RATE_Z))
    return odd


def _add_script(reasons: _Reasons, members: LanguageUtterances, script: str) -> None:
    if not script:
        return
    characters = set().union(*members.references)
    foreign = {one for one in characters if family(script_of_character(one)) not in ("", family(script))}
    others = []
    for index, text in enumerate(members.references):
        if foreign.isdisjoint(text):
            continue
        found = main_script(count_scripts(text))
        if found and found != family(script):
            others.append((index, found))
    if len(others) > len(members) / 5:  # a language with two scripts
        return
    for index, found in others:
        reasons.add(index, "script", f"written in {found}, the language in {script}", 2.0)


def _unusual_text(language: str, members: LanguageUtterances, pairs: CharacterPairs) -> NDArray[np.bool_]:
    """Return which references (N,) are written like hardly any other of their language."""
    own = np.array([pairs.own(language, text) if len(text) >= SHORTEST else np.nan for text in members.references])
    return robust_z(own, floor=0.1) <= PAIRS_Z


def _add_other_language(
    reasons: _Reasons, language: str, members: LanguageUtterances, pairs: CharacterPairs, odd: NDArray[np.bool_]
) -> None:
    for index in np.flatnonzero(odd):
        if len(members.references[index]) < SHORTEST:
            continue
        likeliest, margin = pairs.likeliest(language, members.references[index])
        if likeliest != language and margin >= MARGIN:
            text = f"the transcript reads like {language_name(likeliest) or likeliest}"
            reasons.add(index, "other_language", text, min(3.0, margin / MARGIN))


def _add_swapped(reasons: _Reasons, members: LanguageUtterances, odd: NDArray[np.bool_]) -> None:
    """Add utterances whose hypothesis agrees with the reference of another one of the language."""
    wanted = [i for i in np.flatnonzero(odd) if len(members.hypotheses[i]) >= SHORTEST]
    if not wanted:
        return
    rates: Floats = members.error_rates
    candidates = sorted(wanted, key=lambda i: (-np.nan_to_num(rates[i]), i))[:MOST_CANDIDATES]
    speakers = {members.speakers[i] for i in candidates}
    # Transcripts are mixed up within a session first of all.
    order = sorted(range(len(members)), key=lambda i: (members.speakers[i] not in speakers, i))[:MOST_REFERENCES]
    hypotheses = [members.hypotheses[i] for i in candidates]
    similar = cdist(
        hypotheses, [members.references[i] for i in order], scorer=Indel.normalized_similarity, score_cutoff=AGREEMENT
    )
    for row, index in enumerate(candidates):
        own = Indel.normalized_similarity(members.hypotheses[index], members.references[index])
        similar[row, [column for column, other in enumerate(order) if other == index]] = 0.0
        best = int(np.argmax(similar[row]))
        other = order[best]
        # An equal sentence elsewhere is no swap: it would agree with the own reference just as well.
        if similar[row, best] >= max(AGREEMENT, own + AGREEMENT_GAIN):
            text = f"what is recognised is the transcript of {members.utt_ids[other]}"
            reasons.add(index, "swapped", text, 2.0)
