"""Objectives as modules: per-utterance losses in, one number to differentiate out.

Legend: ``B`` utterances of a batch, ``G`` groups, ``q`` group weights on the simplex, ``L_g`` loss of group ``g``.

Any per-utterance loss will do (CTC, attention cross-entropy, transducer). In a plain PyTorch loop:

>>> import torch
>>> from asr_dro.objectives import build_objective
>>> objective = build_objective("ctc_dro", ["fin", "tur"], step_size=0.01, smoothing=0.5)
>>> model = torch.nn.Linear(3, 1)
>>> optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
>>> for batch in range(4):
...     losses = model(torch.ones(5, 3)).squeeze(1).square() + batch % 2  # (B,), any per-utterance loss
...     loss = objective(losses, groups=torch.full((5,), batch % 2))  # group-pure batches, in turn
...     optimizer.zero_grad()
...     loss.backward()
...     optimizer.step()
>>> [(record["update"], record["visits"]) for record in objective.drain_records()]
[(1, {'fin': 1, 'tur': 1}), (2, {'fin': 1, 'tur': 1})]
>>> checkpoint = {"model": model.state_dict(), "objective": objective.state_dict()}  # the weights survive a resume
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, distributed
from typing_extensions import Self

from asr_dro.errors import UserError
from asr_dro.objectives.config import ObjectiveConfig
from asr_dro.objectives.group_names import check_same_groups, decode_names, encode_names
from asr_dro.objectives.group_weights import ctc_dro_update, group_dro_update
from asr_dro.objectives.mean_objective import MeanObjective
from asr_dro.objectives.records import UpdateLog

# Devices whose values the host reads without waiting.
READABLE_DEVICES = ("cpu",)


class GroupObjective(MeanObjective):
    """Group DRO and CTC-DRO: losses weighted by their groups, weights that follow the groups' losses.

    The whole state is buffers, so it is in every checkpoint: the weights, what was collected since the last update,
    and the group names, which are compared on loading. All are float64 and stay so when the model is cast, and
    averaging them over checkpoints leaves them valid. (Apple's MPS has no float64: train on CPU or CUDA.)

    The weights are updated before they are used, so the batch that completes a round is the first with the new
    weights, as in the released code. With ``torch.distributed`` initialised, one all-reduce of ``3 G`` numbers per
    batch keeps the state equal on all ranks; every rank must call the module for every batch.

    Nothing in the training path makes the host wait for the device: what is known on the device only, such as whether a
    round is complete, stays in tensors.

    Attributes:
        relative_weights: ``(G,)`` ``G q``. Times ``G``, so that uniform weights are exactly 1.0, whatever ``G``.
        pending: ``(4, G)`` since the last update, per group: sum of batch losses; sum of visits; utterances, usable or
            not; batches since its oldest entry (staleness).
        updates: ``()`` number of updates.
        skipped: ``(G,)`` utterances left out so far, because infeasible or not finite.
    """

    relative_weights: Tensor
    pending: Tensor
    updates: Tensor
    skipped: Tensor
    encoded_names: Tensor

    def __init__(self, group_names: Sequence[str], config: ObjectiveConfig) -> None:
        super().__init__(group_names, config)
        count = len(self.group_names)
        self.register_buffer("relative_weights", torch.ones(count, dtype=torch.float64))
        self.register_buffer("pending", torch.zeros(4, count, dtype=torch.float64))
        self.register_buffer("updates", torch.zeros((), dtype=torch.float64))
        self.register_buffer("skipped", torch.zeros(count, dtype=torch.float64))
        self.register_buffer("encoded_names", encode_names(self.group_names))
        self._log = UpdateLog(1 + 4 * count, config.record_capacity)

    @property
    def q(self) -> Tensor:
        """The group weights, ``(G,)``, summing to 1."""
        return self.relative_weights / len(self.group_names)

    def group_weights(self) -> dict[str, float]:
        """Return the weights by name. Waits for the device."""
        return dict(zip(self.group_names, self.q.tolist(), strict=True))

    def skipped_utterances(self) -> dict[str, int]:
        """Return the number of utterances left out so far, by group. Waits for the device."""
        return dict(zip(self.group_names, map(int, self.skipped.tolist()), strict=True))

    def drain_records(self) -> list[dict[str, Any]]:
        """Return the updates since the last call, oldest first. Waits for the device.

        The last ``record_capacity`` updates are kept on the device; there is at most one per batch.

        Returns:
            ``{"update": number, "q": {group: weight}, "loss": {group: L_g or None}, "visits": {group: visits},
            "staleness": {group: batches}}`` for each update; a loss is None where the group had no usable utterance
            (with ``update: batch``, in all groups but those of the batch). Numbers have seven digits.
        """
        count = len(self.group_names)
        records = []
        for number, *values in self._log.drain(int(self.updates)):
            q, loss, visits, staleness = (self._by_name(values[i * count : (i + 1) * count]) for i in range(4))
            loss = {name: value if visits[name] else None for name, value in loss.items()}
            records.append({"update": int(number), "q": q, "loss": loss, "visits": visits, "staleness": staleness})
        return records

    def _by_name(self, values: Sequence[float]) -> dict[str, float | int | None]:
        """Return numbers by group name as JSON can hold them: None for NaN, whole numbers without a decimal point."""
        return {
            name: None if not math.isfinite(value) else int(value) if value == int(value) else float(f"{value:.7g}")
            for name, value in zip(self.group_names, values, strict=True)
        }

    def _weigh(self, losses: Tensor, usable: Tensor, groups: Tensor, visit_fraction: float) -> Tensor:
        """Collect the group losses, update the weights if it is time, and return the ``(B,)`` weighted losses."""
        with torch.no_grad():
            fraction = visit_fraction if self.config.partial_visits else 1.0
            try:
                self._collect(losses, usable, groups, fraction)
            except RuntimeError:  # on CUDA the device's own assertion ends the run
                self._check_indices(groups)
                raise
            factors = self.relative_weights if self.config.scale_by_group_count else self.q
            factor = factors.index_select(0, groups)
        return losses * factor.to(losses.dtype)

    def _check_indices(self, groups: Tensor) -> None:
        """Explain a failure by group indices that do not exist, where they can be read."""
        if groups.device.type in READABLE_DEVICES:
            unknown = sorted({index for index in groups.tolist() if not 0 <= index < len(self.group_names)})
            if unknown:
                last, names = len(self.group_names) - 1, ", ".join(self.group_names)
                raise UserError(f"group indices {unknown} are outside of 0 .. {last}; the groups: {names}")

    def _collect(self, losses: Tensor, usable: Tensor, groups: Tensor, fraction: float) -> None:
        """Add one batch (of all ranks) to what is pending, and update the weights where that completes a round.

        A group that lost some of its utterances visits by the share that is left, since to leave an utterance out of a
        sum would be to take its loss as 0.
        """
        rows = torch.stack([losses, usable, ~usable]).double()  # (3, B)
        sums = rows.new_zeros(3, len(self.group_names)).index_add_(1, groups, rows)  # (3, G)
        if distributed.is_available() and distributed.is_initialized():
            distributed.all_reduce(sums)
        loss, kept, lost = sums.unbind()
        seen = kept + lost
        visit = kept * fraction / seen.clamp(min=1)
        if self.config.reduction == "mean":
            loss = visit * loss / kept.clamp(min=1)
        self.skipped.add_(lost)
        self.pending.add_(torch.stack([loss, visit, seen, self.pending[2] > 0]))
        present = self.pending[2] > 0
        complete = present.all() if self.config.update == "round" else present.any()
        # Where reading a value costs nothing, the steps below are saved until they are due; elsewhere it would make the
        # host wait, and they are taken for every batch.
        if complete.device.type not in READABLE_DEVICES or complete:
            self._update(complete)

    def _update(self, complete: Tensor) -> None:
        """Update the weights, write a record and start a new round; nothing lasts if ``complete`` is false."""
        loss, visits, seen, staleness = self.pending.unbind()
        group_loss = loss / visits  # NaN where nothing was usable: such a group keeps its weight
        if self.config.update == "batch":
            group_loss = torch.where(seen > 0, group_loss, 0.0)
        self.relative_weights.copy_(torch.where(complete, self._updated_weights(group_loss), self.relative_weights))
        # Written to the next free row, which stays free if the round is not complete.
        self._log.write(torch.cat([self.updates.reshape(1) + 1, self.q, group_loss, visits, staleness]), self.updates)
        self.updates.add_(complete)
        self.pending.masked_fill_(complete, 0.0)

    def _updated_weights(self, group_loss: Tensor) -> Tensor:
        """Return the relative weights after an update with the ``(G,)`` group losses."""
        if self.config.step_size == 0:  # not even the rounding of a logarithm and its inverse
            return self.relative_weights
        log_q = self.q.log()
        if self.config.smoothing is None:
            log_q = group_dro_update(log_q, group_loss, self.config.step_size)
        else:
            log_q = ctc_dro_update(log_q, group_loss, self.config.step_size, smoothing=self.config.smoothing)
        return log_q.exp() * len(self.group_names)

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        """Load the buffers of the same groups.

        Raises:
            UserError: The state belongs to other groups.
        """
        saved = state_dict.get(prefix + "encoded_names")
        if saved is not None:
            check_same_groups(decode_names(saved), self.group_names)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)  # type: ignore[no-untyped-call]
        self._log.clear()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move the buffers as asked but keep them in float64: weights in half precision would stop moving."""
        before = dict(self._buffers)
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name, buffer in self._buffers.items():
            original = before[name]
            if buffer is not None and original is not None and buffer.dtype != original.dtype:
                self._buffers[name] = original.to(buffer.device)
        return self
