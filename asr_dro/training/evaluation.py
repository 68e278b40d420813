"""Dev losses and error rates per group and language, measured after every epoch.

Labels say nothing of the language where the task is text alone, so languages come from ``utt2lang``.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from asr_dro.data.tokens import decode, has_language_tags
from asr_dro.errors import InterruptedRun
from asr_dro.objectives.feasibility import usable_utterances
from asr_dro.scoring.error_rate import ErrorCounts, character_errors
from asr_dro.training.model import GroupRobustASRModel
from asr_dro.training.processes import gather


class DevInterrupted(InterruptedRun):
    """Dev is not measured: at least one process was asked to stop before it had done its share."""


@dataclass
class DevTotals:
    """Sums over utterances; those of several processes add up.

    Attributes:
        losses: Group -> list of finite losses' sum and number.
        errors: Language -> character errors.
        mistaken: Language -> number of utterances with another language's tag or none, and of all; empty without tags.
        infeasible: Utterances with fewer frames than labels need, or whose audio cannot be read.
        is_whole: Whether they are of all utterances there are.
    """

    losses: dict[str, tuple[float, int]] = field(default_factory=dict)
    errors: dict[str, ErrorCounts] = field(default_factory=dict)
    mistaken: dict[str, tuple[int, int]] = field(default_factory=dict)
    infeasible: int = 0
    is_whole: bool = True

    def add_loss(self, group: str, loss: float, count: int = 1) -> None:
        """Add the summed loss of ``count`` utterances."""
        total, number = self.losses.get(group, (0.0, 0))
        self.losses[group] = (total + loss, number + count)

    def add_errors(self, language: str, counts: ErrorCounts) -> None:
        """Add character errors."""
        self.errors[language] = self.errors[language] + counts if language in self.errors else counts

    def add_mistaken(self, language: str, wrong: int, count: int = 1) -> None:
        """Add ``count`` utterances, ``wrong`` of which were given a wrong language."""
        total, number = self.mistaken.get(language, (0, 0))
        self.mistaken[language] = (total + wrong, number + count)

    def merge(self, other: DevTotals) -> None:
        """Add the sums of another process."""
        for group, (loss, count) in other.losses.items():
            self.add_loss(group, loss, count)
        for language, counts in other.errors.items():
            self.add_errors(language, counts)
        for language, (wrong, count) in other.mistaken.items():
            self.add_mistaken(language, wrong, count)
        self.infeasible += other.infeasible
        self.is_whole = self.is_whole and other.is_whole

    def summary(self) -> dict[str, Any]:
        """Return the ``dev`` entry of train.jsonl."""
        total = sum(loss for loss, _ in self.losses.values())
        number = sum(count for _, count in self.losses.values())
        return {
            "loss": total / number if number else None,
            "loss_by_group": {g: loss / n if n else None for g, (loss, n) in sorted(self.losses.items())},
            "infeasible_utterances": self.infeasible,
            "cer": compare({language: counts.rate for language, counts in self.errors.items()}),
            "lid_error": compare({language: wrong / count for language, (wrong, count) in self.mistaken.items()}),
        }


def compare(rates: Mapping[str, float]) -> dict[str, Any]:
    """Return ``mean``, ``worst``, ``worst_language``, ``by_language``; a rate that is not finite has no part in it."""
    known = {language: rate for language, rate in sorted(rates.items()) if math.isfinite(rate)}
    worst = max(known, key=lambda language: known[language], default=None)
    return {
        "mean": sum(known.values()) / len(known) if known else None,
        "worst": known[worst] if worst is not None else None,
        "worst_language": worst,
        "by_language": {language: known.get(language) for language in sorted(rates)},
    }


def evaluate(
    model: GroupRobustASRModel,
    batches: Iterable[tuple[list[str], dict[str, Any]]],
    *,
    device: torch.device,
    token_list: Sequence[str],
    languages: Mapping[str, str],
    should_stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Measure raw losses per group, greedy CER and wrong tags per language; the objective's state is not touched.

    Processes have different numbers of batches and meet only at the end. One that is asked to stop leaves its batches
    at once; the others hear of it when they have done their shares, unless they were asked too.

    Args:
        model: The model; put into eval mode.
        batches: Pairs (utterance ids, batch) as the trainer gets them; this process's share of them.
        device: Where the model is.
        token_list: Tokens by index; they say what the task is.
        languages: Language by utterance id.
        should_stop: Asked before each batch, of this process alone.

    Returns:
        The ``dev`` entry of train.jsonl, over the batches of all processes.

    Raises:
        DevInterrupted: In all processes, if one of them was stopped.
    """
    model.eval()
    totals = DevTotals()
    for utt_ids, batch in batches:
        if should_stop():
            totals.is_whole = False
            break
        moved = {key: value.to(device) for key, value in batch.items() if isinstance(value, torch.Tensor)}
        _add_batch(totals, model, moved, token_list, [languages[utt_id] for utt_id in utt_ids])
    together = DevTotals()
    for part in gather(totals):
        together.merge(part)
    if not together.is_whole:
        raise DevInterrupted("asked to stop while dev was measured")
    return together.summary()


def _add_batch(
    totals: DevTotals,
    model: GroupRobustASRModel,
    batch: dict[str, Any],
    token_list: Sequence[str],
    languages: Sequence[str],
) -> None:
    losses, infeasible, hypotheses = model.evaluate(batch)
    finite = usable_utterances(losses, infeasible)
    totals.infeasible += int((~finite).sum())
    sums: dict[int, list[float]] = defaultdict(list)
    for group, loss, usable in zip(batch["group"][:, 0].tolist(), losses.tolist(), finite.tolist(), strict=True):
        if usable:
            sums[group].append(loss)
    for group, values in sums.items():
        totals.add_loss(model.group_names[group], sum(values), len(values))
    tagged = has_language_tags(token_list)
    references = zip(batch["text"].tolist(), batch["text_lengths"].tolist(), strict=True)
    for language, (labels, length), hypothesis in zip(languages, references, hypotheses, strict=True):
        _, reference = decode(labels[:length], token_list)
        recognised, text = decode(hypothesis, token_list)
        totals.add_errors(language, character_errors(reference, text))
        if tagged:
            totals.add_mistaken(language, int(recognised != language))
