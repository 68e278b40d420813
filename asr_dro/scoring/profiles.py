"""Metric profiles: the same hypotheses, scored exactly as a public scorer would, for figures that can be compared.

Each profile reads the decoder's own lines, whatever text normalisation the set was prepared with: it gives what the
scorer would say of these files. ``docs/scoring.md`` has the rules of each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from asr_dro.errors import UserError
from asr_dro.scoring.challenge2025 import Challenge2025
from asr_dro.scoring.error_rate import ErrorCounts
from asr_dro.scoring.material import Material
from asr_dro.scoring.measures import Measure
from asr_dro.scoring.ml_superb import MlSuperb, MlSuperb2
from asr_dro.scoring.profile_rules import CellSums, ProfileRule


class WerBasic(ProfileRule):
    """Word errors as jiwer counts them by default: words between white space, nothing normalised but Unicode's NFC.

    Args:
        material: The scored split.
    """

    metric = "wer"

    def __init__(self, material: Material) -> None:
        words = [utterance.words for utterance in material.utterances]
        columns = ([one.errors for one in words], [one.reference_length for one in words])
        super().__init__(material, np.stack([np.array(column, dtype=np.int64) for column in columns], axis=1))

    def measures(self, cells: CellSums) -> dict[str, Measure]:
        """Compute ``wer``."""
        return {"wer": cells.by_language(cells.languages).ratio(0, 1)}

    def layout(self, found: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Return ``micro``, then the numbers over languages."""
        return {"micro": found["wer"]["micro"], **{key: value for key, value in found["wer"].items() if key != "micro"}}

    def score(self) -> dict[str, Any]:
        """Return ``micro`` with its counts, then what ``values_of_measure`` gives for languages."""
        found = super().score()
        total = sum((tally.words for tally in self.material.cells.values()), ErrorCounts())
        counts = {
            "reference_length": total.reference_length,
            "substitutions": total.substitutions,
            "deletions": total.deletions,
            "insertions": total.insertions,
        }
        return {"micro": found.pop("micro"), **counts, **found}


PROFILES: dict[str, Callable[[Material], ProfileRule]] = {
    "ml_superb": MlSuperb,
    "ml_superb2": MlSuperb2,
    "challenge2025": Challenge2025,
    "wer_basic": WerBasic,
}


def rules_of(material: Material, names: Iterable[str] = tuple(PROFILES)) -> dict[str, ProfileRule]:
    """Apply several profiles to a split.

    Args:
        material: The scored split.
        names: Of ``PROFILES``.

    Returns:
        Rules by profile: for scores and for their intervals.

    Raises:
        UserError: If a name is unknown.
    """
    chosen = list(names)
    if unknown := [name for name in chosen if name not in PROFILES]:
        raise UserError(f"no profile {', '.join(unknown)}; there are {', '.join(PROFILES)}")
    return {name: PROFILES[name](material) for name in chosen}


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
    return {name: rule.score() for name, rule in rules_of(material, names).items()}
