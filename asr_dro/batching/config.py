"""Options of the batches, checked all at once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from asr_dro.config_values import is_count, is_number, take_fields
from asr_dro.errors import UserError

KINDS = ("mixed", "group")
SCHEDULES = ("uniform", "proportional", "interleaved")
_BETWEEN = "\n  - "  # problems of a message
_HEAD = f"batching:{_BETWEEN}"


@dataclass(frozen=True)
class BatchingConfig:
    """How utterances are gathered in batches, batches in updates, and updates in epochs.

    Attributes:
        kind: ``mixed``: batches of all groups, sorted by length; ``group``: each batch holds one group.
        seconds_per_batch: Audio in a batch; None: four times the longest mean duration of a group, as in the released
            code of CTC-DRO.
        seconds_per_update: Audio in an update instead, whatever the number of batches in it; so a model states its
            budget once, and objectives that gather batches differently stay comparable.
        batches_per_update: Batches whose gradients are summed up for one step of the optimiser (ESPnet's
            ``accum_grad``), or ``groups``: as many as there are groups. With group-pure batches it must be well above
            1: steps on one language at a time forget the others.
        schedule: For kind ``group``. ``uniform`` (default): rounds in which each group comes once, in random order;
            ``proportional``: as often as a group has batches, at random; ``interleaved``: the same, but spread evenly.
        temperature: A group's share of the audio in an epoch is proportional to its amount to the power
            ``1 / temperature``: 1 is natural, larger values sample small groups more often. Not for ``uniform``,
            which is the limit.
        overshoot: False: a batch never has more than ``seconds_per_batch`` (but one utterance that is longer alone is a
            batch), so it has less on average; True: it has that on average, and never a whole utterance more (the
            paper's "reaches or slightly exceeds").
        count_padding: Count a batch's seconds with padding (longest utterance times utterances) rather than without.
        max_utterances: At most that many utterances in a batch; None: no limit.
    """

    kind: str = "mixed"
    seconds_per_batch: float | None = None
    seconds_per_update: float | None = None
    batches_per_update: int | str = 16
    schedule: str | None = None
    temperature: float = 1.0
    overshoot: bool = False
    count_padding: bool = False
    max_utterances: int | None = None

    def __post_init__(self) -> None:
        """Refuse values that are not allowed, all of them in one message."""
        problems = self._problems()
        if problems:
            raise UserError(_HEAD + _BETWEEN.join(problems))

    @classmethod
    def from_mapping(cls, conf: Mapping[str, Any]) -> BatchingConfig:
        """Return the options of a configuration file.

        Raises:
            UserError: Unknown options or wrong values.

        >>> BatchingConfig.from_mapping({"kind": "group", "seconds_per_batch": 50}).order
        'uniform'
        """
        given, problems = take_fields(cls, conf)
        try:
            config = cls(**given)
        except UserError as error:
            problems.append(str(error).removeprefix(_HEAD))
        if problems:
            raise UserError(_HEAD + _BETWEEN.join(problems))
        return config

    @property
    def order(self) -> str:
        """The schedule, or its default."""
        return self.schedule or "uniform"

    def updates_every(self, n_groups: int) -> int:
        """Return the number of batches in an update."""
        return n_groups if isinstance(self.batches_per_update, str) else self.batches_per_update

    def target_seconds(self, n_groups: int) -> float | None:
        """Return the seconds of a batch that the options ask for, None if they leave it to the data."""
        if self.seconds_per_update is not None:
            return self.seconds_per_update / self.updates_every(n_groups)
        return self.seconds_per_batch

    def _problems(self) -> list[str]:
        """Return one sentence for each value that is not allowed."""
        return self._wrong_choices() + self._wrong_numbers()

    def _wrong_choices(self) -> list[str]:
        problems = []
        if self.kind not in KINDS:
            problems.append(f"kind is {self.kind!r}; choose one of: {', '.join(KINDS)}")
        if self.schedule is not None and self.schedule not in SCHEDULES:
            problems.append(f"schedule is {self.schedule!r}; choose one of: {', '.join(SCHEDULES)}")
        if self.schedule is not None and self.kind == "mixed":
            problems.append("schedule is for kind 'group' only; leave it out for mixed batches")
        for name in ("overshoot", "count_padding"):
            if not isinstance(getattr(self, name), bool):
                problems.append(f"{name} is {getattr(self, name)!r}; give true or false")
        if self.overshoot is True and self.count_padding is True:
            problems.append(
                "overshoot and count_padding exclude each other: the first is about seconds without padding"
            )
        return problems

    def _wrong_numbers(self) -> list[str]:
        problems = []
        for name in ("seconds_per_batch", "seconds_per_update"):
            value = getattr(self, name)
            if value is not None and not _is_amount(value):
                problems.append(f"{name} is {value!r}; give a number above 0, or leave it out")
        if self.seconds_per_batch is not None and self.seconds_per_update is not None:
            problems.append("give seconds_per_batch or seconds_per_update, not both (null unsets one)")
        if self.batches_per_update != "groups" and not is_count(self.batches_per_update):
            problems.append(f"batches_per_update is {self.batches_per_update!r}; give a number above 0, or 'groups'")
        if not _is_amount(self.temperature) or self.temperature < 1:
            problems.append(f"temperature is {self.temperature!r}; give a number of at least 1")
        elif self.temperature != 1 and self.kind == "group" and self.order == "uniform":
            problems.append("temperature does nothing with schedule 'uniform', its limit; use 'interleaved'")
        if self.max_utterances is not None and not is_count(self.max_utterances):
            problems.append(f"max_utterances is {self.max_utterances!r}; give a whole number above 0, or leave it out")
        return problems


def _is_amount(value: object) -> bool:
    return is_number(value) and 0 < value < math.inf
