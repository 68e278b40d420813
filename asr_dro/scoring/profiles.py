"""Metric profiles: the same hypotheses, scored exactly as a public scorer would, for figures that can be compared.

Each profile reads the decoder's own lines, whatever text normalisation the set was prepared with: it gives what the
scorer would say of these files. ``docs/scoring.md`` has the rules of each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from asr_dro.errors import UserError
from asr_dro.scoring.challenge2025 import score_challenge2025
from asr_dro.scoring.error_rate import ErrorCounts
from asr_dro.scoring.material import Material
from asr_dro.scoring.ml_superb import score_ml_superb, score_ml_superb2
from asr_dro.scoring.summaries import summarise_values
from asr_dro.scoring.tallies import or_none, tally_by


def score_wer_basic(material: Material) -> dict[str, Any]:
    """Count word errors as jiwer does by default: words between white space, nothing normalised but Unicode's NFC.

    Args:
        material: The scored split.

    Returns:
        ``micro`` with its counts, then what ``summarise_values`` gives for languages.
    """
    tallies = tally_by(material.cells, lambda cell: cell.language)
    total = sum((tally.words for tally in tallies.values()), ErrorCounts())
    return {
        "micro": or_none(total.rate),
        "reference_length": total.reference_length,
        "substitutions": total.substitutions,
        "deletions": total.deletions,
        "insertions": total.insertions,
        **summarise_values({name: or_none(tally.words.rate) for name, tally in tallies.items()}, key="language"),
    }


PROFILES: dict[str, Callable[[Material], dict[str, Any]]] = {
    "ml_superb": score_ml_superb,
    "ml_superb2": score_ml_superb2,
    "challenge2025": score_challenge2025,
    "wer_basic": score_wer_basic,
}


def score_profiles(material: Material, names: Iterable[str] = tuple(PROFILES)) -> dict[str, dict[str, Any]]:
    """Score a split by several profiles.

    Args:
        material: The scored split.
        names: Of ``PROFILES``.

    Returns:
        Scores by profile; fractions, None where there is nothing to score.

    Raises:
        UserError: If a name is unknown.
    """
    chosen = list(names)
    if unknown := [name for name in chosen if name not in PROFILES]:
        raise UserError(f"no profile {', '.join(unknown)}; there are {', '.join(PROFILES)}")
    return {name: PROFILES[name](material) for name in chosen}
