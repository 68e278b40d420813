"""A log of weight updates that stays on the device until somebody reads it."""

from __future__ import annotations

import torch
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

    def write(self, row: Tensor, number: Tensor, happened: Tensor) -> None:
        """Keep ``row`` (``(width,)``, its first entry is ``number``) if the update ``number`` (1, 2, ...) happened."""
        if self._rows is None or self._rows.device != row.device:
            # One row more than the capacity: what did not happen is written there.
            self._rows = torch.full((self.capacity + 1, self.width), -1.0, dtype=torch.float64, device=row.device)
        place = torch.where(happened, (number - 1) % self.capacity, self.capacity)
        self._rows.index_copy_(0, place.long().reshape(1), row.reshape(1, self.width))

    def drain(self) -> list[list[float]]:
        """Return the rows since the last call, oldest first, and forget them. Waits for the device."""
        if self._rows is None:
            return []
        rows = [row for row in self._rows[: self.capacity].tolist() if row[0] > 0]
        self.clear()
        return sorted(rows)

    def clear(self) -> None:
        """Forget all rows."""
        self._rows = None
