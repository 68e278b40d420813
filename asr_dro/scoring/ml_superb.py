"""Scores as the public scorers of ML-SUPERB give them.

``ml_superb``: sclite's character error rate over all utterances together, and the share of right languages, for all
utterances, for those of normal and for those of few-shot languages. Source: ESPnet, recipe ``ml_superb``: ``score.sh``,
``split_results.py``, ``lid.py``.

``ml_superb2``: the same alignments; the rate of each language and corpus, the mean over a language's corpora, mean and
standard deviation (n - 1) over languages, and the largest gap between two corpora of one language. Source: the recipe
of CTC-DRO, ``score_macro.sh`` and ``multi_superb_score_sd.py``.

Both scorers take their rates from sclite's report, where they are rounded to 0.1 %; the second does so for each single
utterance. Nothing is rounded here, so a figure may differ by 0.05 points of percent, and no more.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from asr_dro.corpora.ml_superb_labels import few_shot_utterances
from asr_dro.scoring.corpus_rates import GAP, MEANS, SINGLE, CorpusRates, layout_over_corpora, nested, pairs_with_rate
from asr_dro.scoring.material import Material
from asr_dro.scoring.measures import ONLY_POOLED, Measure
from asr_dro.scoring.profile_rules import CellSums, ProfileRule
from asr_dro.scoring.resampled_rates import rates_of
from asr_dro.scoring.summaries import compare_corpora

_TAGS = re.compile(r"\[[a-z]{3}\]"), re.compile(r"\[[a-z]{3}_[a-z]{3}\]")  # looked for in this order: [org_jpn]


_ERRORS, _LENGTH, _RIGHT, _NUMBER = range(4)


class MlSuperb(ProfileRule):
    """ML-SUPERB's scores: for all, normal and few-shot languages the pooled rates.

    Args:
        material: The scored split.
    """

    def __init__(self, material: Material) -> None:
        length, *errors = material.characters_like_sclite
        lines = material.lines
        labels = [(one.source.utt_id, one.source.language) for one in material.utterances]
        right = np.fromiter((_is_recognised(lines[utt], language) for utt, language in labels), np.int64, len(labels))
        super().__init__(material, np.stack([sum(errors), length, right, np.ones_like(right)], axis=1))

    def measures(self, cells: CellSums) -> dict[str, Measure]:
        """Compute ``<part> cer`` and, where tags say something, ``<part> lid_accuracy``."""
        found, everything = {}, cells.by_language(cells.languages)
        for part, names in _parts(cells.languages).items():
            held = everything.part(names)
            found[f"{part} cer"] = held.ratio(_ERRORS, _LENGTH, wanted=ONLY_POOLED)
            if self.material.has_accuracy:
                found[f"{part} lid_accuracy"] = held.ratio(_RIGHT, _NUMBER, wanted=ONLY_POOLED)
        return found

    def layout(self, found: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Return ``all``, ``normal`` and ``few_shot``, each with ``cer`` and ``lid_accuracy``."""
        return {
            part: {
                name: found[f"{part} {name}"]["micro"] if f"{part} {name}" in found else None
                for name in ("cer", "lid_accuracy")
            }
            for part in _parts([])
        }

    def score(self) -> dict[str, Any]:
        """Return the same parts, each with ``cer``, its counts, ``lid_accuracy`` and ``n_utterances``."""
        found = super().score()
        few_shot = few_shot_utterances()
        is_few_shot = np.array([one.source.language in few_shot for one in self.material.utterances], bool)
        masks = {"all": np.ones_like(is_few_shot), "normal": ~is_few_shot, "few_shot": is_few_shot}
        names = ("reference_length", "substitutions", "deletions", "insertions")
        for part, mask in masks.items():
            counts = self.material.characters_like_sclite[:, mask].sum(axis=1).tolist()
            accuracy = found[part].pop("lid_accuracy")
            found[part] |= dict(zip(names, counts, strict=True))
            found[part] |= {"lid_accuracy": accuracy, "n_utterances": int(mask.sum())}
        return found


class MlSuperb2(ProfileRule):
    """The scores of CTC-DRO's recipe for ML-SUPERB 2.0.

    An empty reference has no weight there, and its insertions do not count.

    Args:
        material: The scored split.
    """

    def __init__(self, material: Material) -> None:
        length, *errors = material.characters_like_sclite
        super().__init__(material, np.stack([np.where(length > 0, sum(errors), 0), length], axis=1))
        self._pairs = pairs_with_rate(_merged_pairs(self.totals), self.totals.sums[_LENGTH])

    def measures(self, cells: CellSums) -> dict[str, Measure]:
        """Compute ``all`` and ``normal``, means over corpora, ``<part> gap``, distances of corpora, and each corpus."""
        pairs = CorpusRates.from_sums(_merged_pairs(cells), cells.sums, cells.freedom, self._pairs)
        found = pairs.measures(pooled=rates_of(*(column.sum(axis=0) for column in cells.sums)))
        means, gaps = found[MEANS], found[GAP]
        return {
            "all": means,
            "all gap": gaps,
            "normal": means.part([name not in few_shot_utterances() for name in means.names]),
            "normal gap": gaps.part([name not in few_shot_utterances() for name in pairs.languages_of_differences()]),
            SINGLE: found[SINGLE],
        }

    def layout(self, found: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Return ``micro``; ``all`` and ``normal`` with numbers over languages, ``largest_gap``, rates of corpora."""
        by_pair = nested(self._pairs, found[SINGLE]["by_language"].values())
        parts = {part: layout_over_corpora(found[part], found[f"{part} gap"], by_pair) for part in ("all", "normal")}
        return {"micro": found["all"]["micro"], **parts}

    def score(self) -> dict[str, Any]:
        """Return ``micro``; ``all`` and ``normal`` (without the few-shot languages, as published).

        Each has what :func:`~asr_dro.scoring.measures.values_of_measure` gives but for ``micro``, then what
        :func:`~asr_dro.scoring.summaries.compare_corpora` gives.
        """
        found = super().score()
        for part in ("all", "normal"):
            found[part] |= compare_corpora(found[part]["by_language_and_corpus"])
        return found


def _parts(languages: Sequence[str]) -> dict[str, list[str]]:
    """Return which of the languages belong to each part of the benchmark."""
    few_shot = few_shot_utterances()
    return {
        "all": list(languages),
        "normal": [name for name in languages if name not in few_shot],
        "few_shot": [name for name in languages if name in few_shot],
    }


def _merged_pairs(cells: CellSums) -> list[tuple[str, str]]:
    return [(language, merged_corpus(corpus)) for language, corpus in cells.corpora()]


@functools.cache
def merged_corpus(corpus: str) -> str:
    """Return one name for both of Google's corpora, ``googlei18n_asr`` and ``googlei18n_tts``; others stay."""
    return "googlei18n" if re.fullmatch(r"googlei18n[-_](asr|tts)", corpus) else corpus


def recognised_tag(line: str) -> str:
    """Return the tag that the benchmark's scorer finds in a hypothesis, wherever it stands; ``[UNK]`` if none."""
    if "[" in line:
        for pattern in _TAGS:
            if match := pattern.search(line):
                return match[0]
    return "[UNK]"


def _is_recognised(line: str, language: str) -> bool:
    tag, is_first_kind = _tag_of(language)
    if is_first_kind and line.startswith(tag):  # the first of its kind, which goes before others
        return True
    return recognised_tag(line) == tag


@functools.cache
def _tag_of(language: str) -> tuple[str, bool]:
    tag = f"[{language}]"
    return tag, _TAGS[0].fullmatch(tag) is not None
