"""Scores of one split: per utterance, per language, and the numbers that compare languages.

The mean, the standard deviation and the worst value are taken over languages, each language counting once (macro).
``micro`` pools all utterances. Nothing is rounded here; only what is shown to a reader is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from asr_dro.data.data_dir import Utterance
from asr_dro.scoring.error_rate import ErrorCounts, canonical, count_errors, count_errors_of_texts
from asr_dro.scoring.files import RECOGNISED
from asr_dro.scoring.hypotheses import Hypothesis
from asr_dro.scoring.summaries import DDOF, macro_over_corpora, summarise_values
from asr_dro.scoring.tallies import Cell, Tally, count_confusion, or_none, tally_by, tally_cells


@dataclass(frozen=True, slots=True)
class ScoredUtterance:
    """One utterance with its error counts.

    Attributes:
        source: What the data directory says of it.
        reference: Its transcript in the form that is scored.
        hypothesis: What was recognised, in the same form.
        characters: Errors in characters.
        words: Errors in words.
    """

    source: Utterance
    reference: str
    hypothesis: Hypothesis
    characters: ErrorCounts
    words: ErrorCounts

    @property
    def language_is_right(self) -> bool:
        """Whether the tag names the language; a missing tag and a tag of an unknown language are wrong."""
        return self.hypothesis.language == self.source.language


def score_utterances(
    references: Iterable[Utterance], hypotheses: Mapping[str, Hypothesis], *, task: str = "lid+asr"
) -> list[ScoredUtterance]:
    """Align each hypothesis with its reference.

    Args:
        references: The references; their order is kept.
        hypotheses: Hypothesis by utterance id, one for each reference.
        task: ``DataConfig.task``; where it is ``lid`` there is no text to compare, and both texts are empty.

    Returns:
        One entry per reference.
    """
    sources = list(references)
    heard = [hypotheses[source.utt_id] for source in sources]
    if task == "lid":
        heard = [Hypothesis("", hypothesis.language) for hypothesis in heard]
        expected = [""] * len(sources)
    else:
        expected = [canonical(source.text) for source in sources]
    texts = [hypothesis.text for hypothesis in heard]
    characters = count_errors_of_texts(expected, texts)
    words = [count_errors(left.split(), right.split()) for left, right in zip(expected, texts, strict=True)]
    return list(map(ScoredUtterance, sources, expected, heard, characters, words))


def summarise(
    utterances: Sequence[ScoredUtterance],
    *,
    task: str = "lid+asr",
    profile: str = "basic",
    corpus: str = "all",
    languages: str = RECOGNISED,
    cells: Mapping[Cell, Tally] | None = None,
) -> dict[str, Any]:
    """Compute everything that ``scores.json`` holds about one split, but for what it was made from.

    Args:
        utterances: The scored utterances in any order; the result does not depend on it.
        task: ``DataConfig.task``; without language tags (``asr``) there is no accuracy of languages.
        profile: ``DataConfig.text``, recorded with the scores.
        corpus: The corpus of utterances that do not know theirs: the name of the set.
        languages: ``recognised``, or ``given`` if the search was told them: then there is no accuracy either.
        cells: What ``tally_cells`` gives for these, where it is known already.

    Returns:
        JSON-ready scores: rates are fractions or ``None``, ``counts`` are the integers they come from.
    """
    tagged = task != "asr" and languages == RECOGNISED
    cells = tally_cells(utterances, corpus=corpus) if cells is None else cells
    by_language = tally_by(cells, lambda cell: cell.language)
    by_pair = _tally_by_pair(cells)
    scores: dict[str, Any] = {
        "cer": _rates(by_language, _characters, "language"),
        "wer": _rates(by_language, _words, "language"),
        "lid_accuracy": _language_identification(by_language, tagged=tagged),
        "n_utterances": len(utterances),
        "profile": profile,
        "task": task,
        "languages": languages,
        "ddof": DDOF,
        "counts": {
            "by_language": _mappings(by_language, tagged=tagged),
            "by_language_and_corpus": {name: _mappings(pairs, tagged=tagged) for name, pairs in by_pair.items()},
        },
        "by_corpus": {
            name: tally.rates(tagged=tagged) for name, tally in tally_by(cells, lambda cell: cell.corpus).items()
        },
        "macro_corpus": {"cer": _macro(by_pair, _characters), "wer": _macro(by_pair, _words)},
        "confusion": count_confusion(utterances) if tagged else None,
    }
    if any(cell.group != cell.language for cell in cells):
        by_group = tally_by(cells, lambda cell: cell.group)
        scores["groups"] = {"cer": _rates(by_group, _characters, "group"), "wer": _rates(by_group, _words, "group")}
    return scores


def _mappings(tallies: Mapping[str, Tally], *, tagged: bool) -> dict[str, Any]:
    return {name: tally.as_mapping(tagged=tagged) for name, tally in tallies.items()}


def _characters(tally: Tally) -> ErrorCounts:
    return tally.characters


def _words(tally: Tally) -> ErrorCounts:
    return tally.words


def _rates(parts: Mapping[str, Tally], counts: Callable[[Tally], ErrorCounts], key: str) -> dict[str, Any]:
    """Error rates of each part and over parts."""
    summary = summarise_values({name: or_none(counts(tally).rate) for name, tally in parts.items()}, key=key)
    by = summary.pop(f"by_{key}")
    return {**summary, "micro": or_none(sum(map(counts, parts.values()), ErrorCounts()).rate), f"by_{key}": by}


def _language_identification(parts: Mapping[str, Tally], *, tagged: bool) -> dict[str, Any]:
    """Share of utterances whose tag is right: over all, and per language; ``None`` where there are no tags."""
    if not tagged:
        return {"micro": None, **summarise_values(dict.fromkeys(parts), key="language", worst=min)}
    right, total = (sum(getattr(tally, name) for tally in parts.values()) for name in ("n_right", "n_utterances"))
    shares = {name: tally.n_right / tally.n_utterances for name, tally in parts.items()}
    return {"micro": right / total if total else None, **summarise_values(shares, key="language", worst=min)}


def _tally_by_pair(cells: Mapping[Cell, Tally]) -> dict[str, dict[str, Tally]]:
    """Add up tallies by language and corpus."""
    languages = dict.fromkeys(cell.language for cell in cells)
    return {
        language: tally_by(
            {cell: tally for cell, tally in cells.items() if cell.language == language}, lambda cell: cell.corpus
        )
        for language in languages
    }


def _macro(by_pair: Mapping[str, Mapping[str, Tally]], counts: Callable[[Tally], ErrorCounts]) -> dict[str, Any]:
    """Summarise languages whose rate is the mean of the rates of their corpora, each corpus counting once."""
    rates = {
        language: {name: or_none(counts(tally).rate) for name, tally in pairs.items()}
        for language, pairs in by_pair.items()
    }
    return macro_over_corpora(rates)
