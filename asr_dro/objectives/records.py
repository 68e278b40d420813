"""A log of weight updates that stays on the device until somebody reads it."""

from __future__ import annotations

from torch import Tensor

MAX_RECORDS = 4096
MAX_BYTES = 16 * 2**20


class UpdateLog:
    """Ring of the last updates, written without making the host wait for the device.

    It is output, not state: it is in no checkpoint, and a distributed wrapper does not broadcast it.

    Args:
        width: Numbers per update.
        capacity: Updates kept; None: 4096, or as many as fit 16 MiB.
    """

    def __init__(self, width: int, capacity: int | None) -> None:
        self.width = width
        self.capacity = capacity or max(1, min(MAX_RECORDS, MAX_BYTES // (8 * width)))
        self._rows: Tensor | None = None

    def write(self, row: Tensor, number: Tensor) -> None:
        """Put ``row``, ``(width,)``, in the place after ``number`` ``()`` earlier updates.

        Its first entry is the update's own number, from 1. An update that does not happen in the end is written over by
        the next one with the same number.
        """
        if self._rows is None or self._rows.device != row.device:
            self._rows = row.new_zeros(self.capacity, self.width)
        self._rows.index_copy_(0, (number % self.capacity).long().reshape(1), row.reshape(1, self.width))

    def drain(self, updates: int) -> list[list[float]]:
        """Return the rows written since the last call, oldest first, and forget them. Waits for the device.

        Args:
            updates: Number of updates that happened.
        """
        if self._rows is None:
            return []
        rows = [row for row in self._rows.tolist() if 0 < row[0] <= updates]
        self.clear()
        return sorted(rows)

    def clear(self) -> None:
        """Forget all rows."""
        self._rows = None
