"""The training run: ESPnet builds the model, optimiser and data; the loop is ours.

What ESPnet 202511 does in its own loop and this one does not: checkpoints written in place, the gradient of left-over
batches leaking into the next epoch, best epochs by a criterion that is NaN without a decoder, an average that
aliases its inputs, CER without spaces on padded frames.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import torch
from espnet2.torch_utils.set_all_random_seed import set_all_random_seed
from espnet2.train.trainer import Trainer
from torch import distributed
from torch.amp.grad_scaler import GradScaler
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from asr_dro.data.data_dir import read_two_columns
from asr_dro.disk import check_room, size_of
from asr_dro.experiment import CHECKPOINTS, ENVIRONMENT, LAST_CHECKPOINT
from asr_dro.objectives.group_objective import GroupObjective
from asr_dro.training import checkpoints
from asr_dro.training.batches import BatchFactory, LoadedBatches
from asr_dro.training.epoch import EpochOptions, train_epoch
from asr_dro.training.evaluation import DevInterrupted, evaluate
from asr_dro.training.freezing import FreezeSchedule
from asr_dro.training.infeasible import warn_about_infeasible
from asr_dro.training.interruption import CURRENT, TrainingInterrupted
from asr_dro.training.model import GroupRobustASRModel
from asr_dro.training.optimization import learning_rates
from asr_dro.training.parameter_table import record_parameters
from asr_dro.training.processes import rank_and_world
from asr_dro.training.scalars import write_scalars
from asr_dro.training.state import TrainingLog, TrainingState

logger = logging.getLogger(__name__)

RANK_SEEDS = 1_000_003  # far apart, so that no process draws what another draws in another epoch


@dataclass(frozen=True)
class RunOptions:
    """Options of the run, from ESPnet's arguments and ours (same names)."""

    output_dir: Path
    data_set: str
    max_epoch: int
    seed: int
    accum_grad: int
    grad_clip: float
    ngpu: int
    patience: int | None
    select_by: str
    average_best: int
    use_tensorboard: bool
    freeze: Sequence[str]
    freeze_updates: int
    save_every_updates: int
    batching: dict[str, Any]


class GroupRobustTrainer(Trainer):  # type: ignore[misc]  # ESPnet has no type information
    """ESPnet's trainer with a loop that can be killed at any moment and resumed."""

    @classmethod
    def build_options(cls, args: argparse.Namespace) -> RunOptions:
        """Pick the options of the run from ESPnet's arguments."""
        names = [name for name in RunOptions.__dataclass_fields__ if name != "output_dir"]
        return RunOptions(output_dir=Path(args.output_dir), **{name: getattr(args, name) for name in names})

    @classmethod
    def run(  # ESPnet's signature
        cls,
        model: GroupRobustASRModel,
        optimizers: Sequence[torch.optim.Optimizer],
        schedulers: Sequence[Any],
        train_iter_factory: BatchFactory,
        valid_iter_factory: BatchFactory,
        plot_attention_iter_factory: None,
        trainer_options: RunOptions,
        distributed_option: Any,
    ) -> None:
        """Train to the last epoch, from the last checkpoint if there is one, and average the best epochs."""
        scaler = GradScaler("cuda") if model.precision == "fp16" and trainer_options.ngpu else None
        state = TrainingState(model, optimizers[0], schedulers[0], scaler)
        run = TrainingRun(state, trainer_options, distributed_option)
        if run.main_process:
            record_parameters(model, optimizers[0], run.freezing, trainer_options.output_dir / ENVIRONMENT)
            there = size_of(run.folder, "*.pt")
            needed = checkpoints.room_needed(model, average_best=trainer_options.average_best) - there
            check_room(run.folder, needed, "the training's checkpoints")
        run.resume()
        if run.main_process and run.wants_another_epoch():
            for split, factory in (("train", train_iter_factory), ("dev", valid_iter_factory)):
                warn_about_infeasible(model, factory.dataset, split)
        with CURRENT.listening():  # in processes that ESPnet has spawned nobody else does
            while run.wants_another_epoch():
                run.train_one_epoch(train_iter_factory, valid_iter_factory)
        run.finish()


class TrainingRun:
    """The loop over epochs.

    Args:
        state: What a checkpoint holds.
        options: Options of the run.
        distributed_option: ESPnet's description of this process's place among several.
    """

    def __init__(self, state: TrainingState, options: RunOptions, distributed_option: Any) -> None:
        self.state = state
        self.options = options
        self.folder = options.output_dir / CHECKPOINTS
        self.log = TrainingLog(options.output_dir)
        self.device = torch.device("cuda" if options.ngpu else "cpu")
        self.distributed = bool(distributed_option.distributed)
        self.dev_languages = read_two_columns(Path(options.data_set) / "dev" / "utt2lang")
        self.rank, _ = rank_and_world()
        self.main_process = self.rank == 0
        self.freezing = FreezeSchedule(state.model, options.freeze, freeze_updates=options.freeze_updates)
        if options.batching.get("kind") == "group":
            warn_about_batch_norm(state.model)

    def resume(self) -> None:
        """Take over the last checkpoint, if any, and bring the logs back to it."""
        last = self.folder / LAST_CHECKPOINT
        if last.exists():
            self.state.load(last)
        if self.main_process:
            self.log.rewind(self.state)

    def _wrap(self) -> None:
        """Prepare the network for the parameters that learn now; the wrapper exchanges only their gradients."""
        self.freezing.apply(self.state.updates)
        self.head_only = self.freezing.head_only(self.state.updates)
        network: torch.nn.Module = self.state.model
        if self.distributed:
            device_ids = [torch.cuda.current_device()] if self.options.ngpu else None
            # The objective keeps its own state equal on all ranks; broadcasting it would cost every step.
            network = DistributedDataParallel(network, device_ids=device_ids, broadcast_buffers=False)
        self.epoch_options = EpochOptions(
            network=network,
            device=self.device,
            batches_per_update=self.options.accum_grad,
            grad_clip=self.options.grad_clip,
            main_process=self.main_process,
        )

    def wants_another_epoch(self) -> bool:
        """Tell whether epochs are left and ``patience`` epochs without a better one have not passed."""
        state, options = self.state, self.options
        if state.epoch >= options.max_epoch:
            return False
        if options.patience is None or not state.history:
            return True
        _, best_epoch = checkpoints.rank_epochs(state.history, options.select_by)[0]
        return state.epoch - best_epoch < options.patience

    def train_one_epoch(self, train: BatchFactory, dev: BatchFactory) -> None:
        """Train and measure one epoch, or the rest of it, then write checkpoint and logs."""
        state = self.state
        epoch = state.epoch + 1
        if state.batches == 0:  # in the middle of an epoch, the generators go on where they were
            set_all_random_seed(self.options.seed + epoch + RANK_SEEDS * self.rank)
        trained: dict[str, Any] | None = None
        while trained is None:
            self._wrap()
            batches = train.build_iter(epoch, start=state.batches)
            trained = train_epoch(state, batches, self.epoch_options, after_update=self._after_update)
        self._stop_if_asked()
        measured = self._measure(dev.build_iter(epoch))
        state.batches, state.partial = 0, None
        rates = learning_rates(state.optimizer)
        record = {"epoch": epoch, "updates": state.updates, "lr": max(rates.values()), **trained, "dev": measured}
        if len(rates) > 1:
            record["lr_by_level"] = rates
        state.epoch = epoch
        state.history.append(record)
        self._save()
        if self.main_process:
            self._write_epoch()

    def _after_update(self) -> bool:
        """Save now and then; tell whether the epoch must be interrupted because other parameters learn from here on."""
        self._stop_if_asked()
        every = self.options.save_every_updates
        if every and self.state.updates % every == 0:
            self._save()
        return self.head_only != self.freezing.head_only(self.state.updates)

    def _stop_if_asked(self) -> None:
        """Save and leave if a signal asked for it; all processes take part."""
        if CURRENT.requested(self.device):
            self._stop()

    def _stop(self) -> NoReturn:
        """Save and leave; all processes take part."""
        self._save()
        if self.distributed:  # srun and torchrun end the others when one leaves: not before all is written
            distributed.barrier()
        state = self.state
        raise TrainingInterrupted(
            f"{CURRENT.describe()} after epoch {state.epoch}, batch {state.batches} ({state.updates} updates)"
        )

    def _measure(self, dev: LoadedBatches) -> dict[str, Any]:
        """Measure this process's share of dev; if a signal comes to any process meanwhile, all save and leave."""
        model = self.state.model
        try:
            return evaluate(
                model,
                dev,
                device=self.device,
                token_list=model.token_list,
                languages=self.dev_languages,
                should_stop=CURRENT.is_asked,
            )
        except DevInterrupted:
            self._stop()

    def _save(self) -> None:
        """Write what a resume needs; all processes take part."""
        state = self.state
        snapshot = state.snapshot()
        if not self.main_process:
            return
        if isinstance(state.model.objective, GroupObjective):
            self.log.append_groups(state.model.objective.drain_records())
        if state.batches == 0:
            checkpoints.save(self.folder / checkpoints.epoch_name(state.epoch), snapshot["model"])
        checkpoints.save(self.folder / LAST_CHECKPOINT, snapshot)

    def _write_epoch(self) -> None:
        state, options = self.state, self.options
        checkpoints.keep_best(self.folder, state.history, select_by=options.select_by, count=options.average_best)
        self.log.write_epochs(state)
        record = state.history[-1]
        if options.use_tensorboard:
            write_scalars(options.output_dir / "tensorboard", record, state.model.objective)
        logger.info("%s", describe(record, options.max_epoch))

    def finish(self) -> None:
        """Average the best epochs into the model that decoding uses."""
        options = self.options
        if self.main_process:
            checkpoints.write_final_model(
                self.folder, self.state.history, select_by=options.select_by, count=options.average_best
            )


def warn_about_batch_norm(model: torch.nn.Module) -> None:
    """Say so if the network normalises over batches that hold one group each."""
    names = [name for name, module in model.named_modules() if isinstance(module, _BatchNorm)]
    if names:
        logger.warning(
            "%d BatchNorm layers (%s, ...) will see one language at a time in training and another mixture in test: "
            "measured, the language with a script of its own went from 26 to 90 %% CER. Use LayerNorm, or batching "
            "kind 'mixed'.",
            len(names),
            names[0],
        )


def describe(record: dict[str, Any], max_epoch: int) -> str:
    """Return an epoch's record as one aligned line for the terminal."""
    dev = record["dev"]
    name, errors = ("LID error", dev["lid_error"]) if dev["cer"]["mean"] is None else ("CER", dev["cer"])

    def percent(value: float | None) -> str:
        return "    -" if value is None else f"{100 * value:5.1f}"

    parts = [
        f"epoch {record['epoch']:>3}/{max_epoch}",
        f"train loss {record['train']['loss']:7.2f}",
        f"dev loss {dev['loss'] if dev['loss'] is not None else float('nan'):7.2f}",
        f"dev {name} {percent(errors['mean'])} %",
        f"worst {errors['worst_language'] or '-'} {percent(errors['worst'])} %",
        f"lr {record['lr']:.2e}",
        f"{record['audio_s_per_s']:6.0f} s audio/s",
        f"waits for data {percent(record['data_wait_share'])} %",
    ]
    if record["nonfinite_steps"]:
        parts.append(f"{record['nonfinite_steps']} updates skipped (gradient not finite)")
    if record["infeasible_utterances"]:
        parts.append(f"{record['infeasible_utterances']} utterances left out (loss not finite)")
    if record["unreadable_utterances"]:
        parts.append(f"{record['unreadable_utterances']} utterances left out (audio cannot be read)")
    return " | ".join(parts)
