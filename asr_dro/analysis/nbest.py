"""What the n best hypotheses hold that the best one lacks, where stage 5 kept them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rapidfuzz.distance import Levenshtein

from asr_dro.analysis.inputs import LanguageUtterances
from asr_dro.errors import UserError
from asr_dro.scoring.error_rate import canonical


def oracle_rates(path: Path, utterances: Mapping[str, LanguageUtterances]) -> dict[str, float]:
    """Return each language's CER if of each utterance's n best hypotheses the one with fewest errors were taken.

    Args:
        path: ``nbest.jsonl`` of the split; may be absent.
        utterances: By language.

    Returns:
        Rates of the languages of which some utterance has more than one hypothesis; empty without the file.

    Raises:
        UserError: If a line cannot be understood.
    """
    if not path.exists():
        return {}
    references = {
        utt_id: (language, reference)
        for language, members in utterances.items()
        for utt_id, reference in zip(members.utt_ids, members.references, strict=True)
    }
    errors, several = {language: members.errors.sum() for language, members in utterances.items()}, set()
    single = {
        utt_id: n for members in utterances.values() for utt_id, n in zip(members.utt_ids, members.errors, strict=True)
    }
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            utt_id, texts = _parse(line, f"{path}:{number}")
            if utt_id not in references or not texts:
                continue
            language, reference = references[utt_id]
            fewest = min(Levenshtein.distance(reference, canonical(text)) for text in texts)
            errors[language] -= max(0.0, single[utt_id] - fewest)
            if len(texts) > 1:
                several.add(language)
    lengths = {language: float(utterances[language].reference_length.sum()) for language in several}
    return {language: float(errors[language]) / lengths[language] for language in several if lengths[language]}


def _parse(line: str, where: str) -> tuple[str, list[str]]:
    try:
        record: dict[str, Any] = json.loads(line)
        return str(record["utt_id"]), [str(hypothesis["text"]) for hypothesis in record["nbest"]]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{where}: not an utterance with its n best hypotheses ({error!r}); decode again") from error
