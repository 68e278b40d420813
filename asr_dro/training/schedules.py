"""Learning-rate schedules that are stated as shares of the training, so that no number of updates is ever typed."""

from __future__ import annotations

import math

from espnet2.schedulers.abs_scheduler import AbsBatchStepScheduler
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

DECAYS = ("linear", "exponential")


class TriStageLR(LambdaLR, AbsBatchStepScheduler):  # type: ignore[misc]  # ESPnet has no type information
    """Warm up linearly, hold, decay: the schedule of wav2vec 2.0 fine-tuning (arXiv 2006.11477, appendix B).

    Args:
        optimizer: The optimiser whose learning rates are scaled.
        total_updates: Optimiser updates of the whole training (derived by the trainer, never typed).
        warmup_share: Share of the updates that warm up from ``init_scale`` to 1.
        hold_share: Share of the updates at 1; the rest decays.
        init_scale: Scale of the learning rate at the first update.
        final_scale: Scale of the learning rate at the last update.
        decay: ``"exponential"`` as in wav2vec 2.0, or ``"linear"``.

    Raises:
        ValueError: If a share or scale lies outside its range, or ``decay`` is unknown.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        total_updates: int,
        *,
        warmup_share: float = 0.1,
        hold_share: float = 0.4,
        init_scale: float = 0.01,
        final_scale: float = 0.05,
        decay: str = "exponential",
    ) -> None:
        if not (warmup_share >= 0 and hold_share >= 0 and warmup_share + hold_share <= 1):
            raise ValueError(f"warmup_share {warmup_share} + hold_share {hold_share} must lie in [0, 1]")
        if not (0 <= init_scale <= 1 and 0 < final_scale <= 1):
            raise ValueError(f"init_scale {init_scale} must lie in [0, 1] and final_scale {final_scale} in (0, 1]")
        if decay not in DECAYS:
            raise ValueError(f"decay is {decay!r}; allowed: {', '.join(DECAYS)}")

        def scale(update: int) -> float:
            warmup = warmup_share * total_updates
            hold = warmup + hold_share * total_updates
            if update < warmup:
                return init_scale + (1 - init_scale) * update / warmup
            if update < hold:
                return 1.0
            progress = min(1.0, (update - hold) / max(1.0, total_updates - hold))
            if decay == "linear":
                return 1 + (final_scale - 1) * progress
            return math.exp(math.log(final_scale) * progress)

        super().__init__(optimizer, scale)
