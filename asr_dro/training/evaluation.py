"""Dev losses and error rates per group and language, measured after every epoch."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from asr_dro.data.tokens import decode
from asr_dro.objectives.feasibility import usable_utterances
from asr_dro.scoring.error_rate import ErrorCounts, character_errors
from asr_dro.training.model import GroupRobustASRModel
from asr_dro.training.processes import gather


@dataclass
class DevTotals:
    """Sums over utterances; those of several processes add up.

    Attributes:
        losses: Group -> list of finite losses' sum and number.
        errors: Language -> character errors.
        infeasible: Utterances with fewer frames than labels need, or whose audio cannot be read.
    """

    losses: dict[str, tuple[float, int]] = field(default_factory=dict)
    errors: dict[str, ErrorCounts] = field(default_factory=dict)
    infeasible: int = 0

    def add_loss(self, group: str, loss: float, count: int = 1) -> None:
        """Add the summed loss of ``count`` utterances."""
        total, number = self.losses.get(group, (0.0, 0))
        self.losses[group] = (total + loss, number + count)

    def add_errors(self, language: str, counts: ErrorCounts) -> None:
        """Add character errors."""
        self.errors[language] = self.errors[language] + counts if language in self.errors else counts

    def merge(self, other: DevTotals) -> None:
        """Add the sums of another process."""
        for group, (loss, count) in other.losses.items():
            self.add_loss(group, loss, count)
        for language, counts in other.errors.items():
            self.add_errors(language, counts)
        self.infeasible += other.infeasible

    def summary(self) -> dict[str, Any]:
        """Return the ``dev`` entry of train.jsonl."""
        cer = {language: counts.rate for language, counts in sorted(self.errors.items())}
        known = {language: rate for language, rate in cer.items() if math.isfinite(rate)}
        worst = max(known, key=lambda language: known[language], default=None)
        total = sum(loss for loss, _ in self.losses.values())
        number = sum(count for _, count in self.losses.values())
        return {
            "loss": total / number if number else None,
            "loss_by_group": {g: loss / n if n else None for g, (loss, n) in sorted(self.losses.items())},
            "infeasible_utterances": self.infeasible,
            "cer": {
                "mean": sum(known.values()) / len(known) if known else None,
                "worst": known[worst] if worst is not None else None,
                "worst_language": worst,
                "by_language": {language: known.get(language) for language in cer},
            },
        }


def evaluate(
    model: GroupRobustASRModel,
    batches: Iterable[tuple[list[str], dict[str, Any]]],
    *,
    device: torch.device,
    token_list: Sequence[str],
) -> dict[str, Any]:
    """Measure raw losses per group and greedy CER per language; the objective's state is not touched.

    Args:
        model: The model; put into eval mode.
        batches: Pairs (utterance ids, batch) as the trainer gets them; this process's share of them.
        device: Where the model is.
        token_list: Tokens by index; references and hypotheses begin with a language tag.

    Returns:
        The ``dev`` entry of train.jsonl, over the batches of all processes.
    """
    model.eval()
    totals = DevTotals()
    for _, batch in batches:
        _add_batch(
            totals, model, {k: v.to(device) for k, v in batch.items() if isinstance(v, torch.Tensor)}, token_list
        )
    together = DevTotals()
    for part in gather(totals):
        together.merge(part)
    return together.summary()


def _add_batch(totals: DevTotals, model: GroupRobustASRModel, batch: dict[str, Any], token_list: Sequence[str]) -> None:
    losses, infeasible, hypotheses = model.evaluate(batch)
    finite = usable_utterances(losses, infeasible)
    totals.infeasible += int((~finite).sum())
    sums: dict[int, list[float]] = defaultdict(list)
    for group, loss, usable in zip(batch["group"][:, 0].tolist(), losses.tolist(), finite.tolist(), strict=True):
        if usable:
            sums[group].append(loss)
    for group, values in sums.items():
        totals.add_loss(model.group_names[group], sum(values), len(values))
    references = zip(batch["text"].tolist(), batch["text_lengths"].tolist(), strict=True)
    for (labels, length), hypothesis in zip(references, hypotheses, strict=True):
        language, reference = decode(labels[:length], token_list)
        _, text = decode(hypothesis, token_list)
        totals.add_errors(language or "und", character_errors(reference, text))
