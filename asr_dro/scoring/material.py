"""What public scorers are given: references and the decoder's own lines, before anything is done to them here."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from asr_dro.scoring.files import RECOGNISED
from asr_dro.scoring.scores import ScoredUtterance
from asr_dro.scoring.tallies import Cell, Tally, tally_cells

if TYPE_CHECKING:
    from asr_dro.scoring.sclite import Counts


@dataclass(frozen=True)
class Material:
    """A scored split.

    Attributes:
        utterances: The scored utterances.
        lines: Hypothesis by utterance id as the decoder wrote it, with its tag.
        task: ``DataConfig.task``.
        corpus: The corpus of utterances that do not know theirs.
        languages: Where the tags of hypotheses come from: ``recognised``, or ``given`` to the search.
    """

    utterances: Sequence[ScoredUtterance]
    lines: Mapping[str, str]
    task: str = "lid+asr"
    corpus: str = "all"
    languages: str = RECOGNISED

    @property
    def has_accuracy(self) -> bool:
        """Whether it says something that the tag of a hypothesis is right."""
        return self.is_tagged and self.languages == RECOGNISED

    @property
    def is_tagged(self) -> bool:
        """Whether references begin with a language tag."""
        return self.task != "asr"

    @property
    def has_text(self) -> bool:
        """Whether there is text beside the tag."""
        return self.task != "lid"

    @functools.cached_property
    def characters_like_sclite(self) -> Counts:
        """Errors in characters as ESPnet's ``asr.sh`` has sclite count them: ``(4, utterances)``.

        Known tags are removed wherever they stand, the space behind them stays and counts as a character: a reference
        ``[fin] a b`` has four. So a hypothesis without tag has one deletion more. Known are the tags of the languages
        of the references, and those that hypotheses begin with.
        """
        from asr_dro.scoring.sclite import count_errors_like_sclite, fold_cases

        if not self.has_text:
            return count_errors_like_sclite([""] * len(self.utterances), [""] * len(self.utterances))
        labels = {utterance.source.language for utterance in self.utterances}
        labels.update(utterance.hypothesis.language or "" for utterance in self.utterances)
        tags = {f"[{label}]" for label in labels - {""}} if self.is_tagged else set()
        tag = re.compile("|".join(map(re.escape, sorted(tags))) or r"(?!)")

        def characters(line: str) -> str:
            line = " ".join(line.split())
            return tag.sub("", line) if "[" in line else line

        references, hypotheses = [], []
        for one in self.utterances:
            source, reference, heard = one.source, one.reference, one.hypothesis
            is_usual = tags and reference and "[" not in reference and source.text == reference
            references.append(" " + reference if is_usual else characters(self.tagged_reference(one)))
            line = self.lines[source.utt_id]
            is_usual = tags and heard.text and "[" not in heard.text and line == f"[{heard.language}] {heard.text}"
            hypotheses.append(" " + heard.text if is_usual else characters(line))
        return count_errors_like_sclite(fold_cases(references), fold_cases(hypotheses))

    @functools.cached_property
    def cells(self) -> dict[Cell, Tally]:
        """Counts by language, corpus and group."""
        return tally_cells(self.utterances, corpus=self.corpus)

    @functools.cached_property
    def cells_of_utterances(self) -> tuple[list[tuple[str, str]], NDArray[np.int64]]:
        """Languages in corpora, sorted, and to which of them each utterance belongs: ``(utterances,)``."""
        pairs = [(one.source.language, one.source.corpus or self.corpus) for one in self.utterances]
        index = {pair: number for number, pair in enumerate(sorted(set(pairs)))}
        return list(index), np.fromiter(map(index.__getitem__, pairs), np.int64, len(pairs))

    def tagged_reference(self, utterance: ScoredUtterance) -> str:
        """Give the reference as it would stand in a file ``text`` of ESPnet's recipes: behind its tag."""
        source = utterance.source
        return f"[{source.language}] {source.text}" if self.is_tagged else source.text
