"""Parts of a network that do not learn, for good or during the first updates."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import nn

from asr_dro.errors import UserError

HEAD = ("ctc.*", "decoder.*", "joint_network.*")


class FreezeSchedule:
    """Which parameters learn at which update.

    A part whose parameters are all frozen is also in evaluation mode, so that its dropout, masking and batch
    statistics rest as well.

    Args:
        model: The network.
        freeze: Patterns of parameters that never learn, e.g. ``frontend.upstream.*``.
        freeze_updates: During so many updates only the head learns (wav2vec 2.0 fine-tuning: 10,000).
        head: Patterns of the parameters that learn from the first update on.

    Raises:
        UserError: If a pattern fits no parameter, or nothing is left to learn.
    """

    def __init__(
        self, model: nn.Module, freeze: Sequence[str] = (), *, freeze_updates: int = 0, head: Sequence[str] = HEAD
    ) -> None:
        self.model = model
        self.freeze_updates = freeze_updates
        names = [name for name, _ in model.named_parameters()]
        for pattern in freeze:
            if not any(fnmatchcase(name, pattern) for name in names):
                tops = sorted({name.split(".")[0] for name in names})
                raise UserError(f"freeze: no parameter fits {pattern!r}; names begin with: {', '.join(tops)}")
        # Parameters that are frozen already (a frozen front end) stay so.
        self.never = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
        self.never |= {name for name in names if _fits(name, freeze)}
        self.head = {name for name in names if _fits(name, head)} - self.never
        if len(self.never) == len(names):
            raise UserError("freeze: no parameter is left to learn")
        if freeze_updates and not self.head:
            raise UserError(f"freeze_updates: no parameter of a head ({', '.join(head)}) is left to learn")

    def head_only(self, updates: int) -> bool:
        """Tell whether after so many updates only the head learns."""
        return updates < self.freeze_updates

    def apply(self, updates: int) -> None:
        """Put the network into training mode with the parts frozen that do not learn after ``updates`` updates."""
        learning = self.head if self.head_only(updates) else None
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(name not in self.never if learning is None else name in learning)
        self.model.train()
        _rest(self.model)


def _fits(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _rest(module: nn.Module) -> None:
    """Put the largest parts that have parameters, none of which learns, into evaluation mode."""
    parameters = list(module.parameters())
    if parameters and not any(parameter.requires_grad for parameter in parameters):
        module.eval()
        return
    for child in module.children():
        _rest(child)
