"""The one seam with ESPnet's tasks: our classes are registered here, and nowhere else is ``espnet2.tasks`` imported.

Importing this module costs 6 seconds and more (ESPnet imports all of its models), so only training does, and decoding
where it has to.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch

from asr_dro.offline import no_downloads_of_nltk

with no_downloads_of_nltk():
    from espnet2.tasks import abs_task, asr

from espnet2.train.class_choices import ClassChoices
from espnet2.utils.nested_dict_action import NestedDictAction

from asr_dro.decoders.transformer import TransformerDecoder
from asr_dro.decoders.whisper import WhisperDecoder
from asr_dro.encoders.identity import IdentityEncoder
from asr_dro.encoders.normalization import PerUtteranceNormalization
from asr_dro.encoders.s3prl_upstream import S3prlUpstreamFrontend
from asr_dro.encoders.separable_conv import SeparableConvEncoder
from asr_dro.encoders.wav2vec2 import Wav2Vec2Encoder
from asr_dro.encoders.weighted_sum import WeightedSumFrontend
from asr_dro.encoders.whisper import WhisperEncoder
from asr_dro.errors import UserError
from asr_dro.training.adapters import add_adapters
from asr_dro.training.augmentation import check_augmentation
from asr_dro.training.augmenter import Augmenter
from asr_dro.training.batches import BatchFactory, Plan
from asr_dro.training.dataset import SpeechDataset
from asr_dro.training.finetuning import LoraOptions
from asr_dro.training.model import GroupRobustASRModel
from asr_dro.training.optimization import build_optimizer, rate_options
from asr_dro.training.processes import rank_and_world
from asr_dro.training.schedules import TriStageLR
from asr_dro.training.trainer import GroupRobustTrainer
from asr_dro.training.utterances import UtteranceTable

MODEL = "group_robust"
DECODERS = {"transformer": TransformerDecoder, "whisper": WhisperDecoder}  # ESPnet's own give no loss per utterance


def register() -> None:
    """Add our classes to ESPnet's tables; calling it again changes nothing."""
    asr.model_choices.classes[MODEL] = GroupRobustASRModel
    asr.normalize_choices.classes["per_utterance"] = PerUtteranceNormalization
    asr.frontend_choices.classes["weighted_sum"] = WeightedSumFrontend
    asr.frontend_choices.classes["s3prl_upstream"] = S3prlUpstreamFrontend
    asr.encoder_choices.classes["identity"] = IdentityEncoder
    asr.encoder_choices.classes["separable_conv"] = SeparableConvEncoder
    asr.encoder_choices.classes["wav2vec2"] = Wav2Vec2Encoder
    asr.encoder_choices.classes["whisper"] = WhisperEncoder  # ESPnet 202511's cannot be imported with today's Whisper
    asr.decoder_choices.classes.update(DECODERS)
    abs_task.scheduler_classes["tri_stage"] = TriStageLR


def choices() -> dict[str, ClassChoices]:
    """Return the tables of classes that a model may have, by the name of the option, e.g. ``encoder``."""
    register()
    tables = (asr.frontend_choices, asr.specaug_choices, asr.normalize_choices, asr.preencoder_choices)
    more = (asr.encoder_choices, asr.postencoder_choices, ClassChoices("decoder", DECODERS, optional=True))
    return {table.name: table for table in (*tables, *more)}


class GroupRobustASRTask(asr.ASRTask):  # type: ignore[misc]  # ESPnet has no type information
    """``ASRTask`` with our model, trainer and batches."""

    trainer = GroupRobustTrainer

    @classmethod
    def add_task_arguments(cls, parser: argparse.ArgumentParser) -> None:
        """Add our options to ESPnet's parser."""
        register()
        super().add_task_arguments(parser)
        group = parser.add_argument_group("asr_dro")
        group.add_argument("--data_set", type=str, help="prepared set: folder with train/, dev/, groups.txt")
        group.add_argument("--batching", action=NestedDictAction, default={}, help="options of BatchingConfig")
        group.add_argument("--augmentation", action=NestedDictAction, default={}, help="speed and noise, in training")
        group.add_argument("--dev_seconds_per_batch", type=float, default=60.0, help="audio per dev batch")
        group.add_argument("--select_by", type=str, default="mean_cer", help="dev measure that picks epochs")
        group.add_argument("--average_best", type=int, default=1, help="number of best epochs to average")
        group.add_argument("--freeze", type=str, nargs="*", default=[], help="patterns of parameters that never learn")
        group.add_argument("--freeze_updates", type=int, default=0, help="updates during which only the head learns")
        group.add_argument("--layer_decay", type=float, default=1.0, help="learning rate relative to the layer above")
        group.add_argument("--head_lr_scale", type=float, default=1.0, help="factor of the head's learning rate")
        group.add_argument("--lora", action=NestedDictAction, default=None, help="options of LoraOptions")
        group.add_argument("--save_every_updates", type=int, default=1000, help="checkpoints inside epochs; 0: none")
        parser.set_defaults(model=MODEL, iterator_type="task", valid_iterator_type="task", use_preprocessor=False)

    @classmethod
    def build_model(cls, args: argparse.Namespace) -> GroupRobustASRModel:
        """Build the network, with its adapters if there are any."""
        model: GroupRobustASRModel = super().build_model(args)
        if getattr(args, "lora", None) is not None:
            add_adapters(model, LoraOptions.from_mapping(args.lora))
        return model

    @classmethod
    def build_optimizers(cls, args: argparse.Namespace, model: torch.nn.Module) -> list[torch.optim.Optimizer]:
        """Build the optimiser, whose learning rates may differ between layers."""
        if args.optim not in abs_task.optim_classes:
            known = ", ".join(sorted(abs_task.optim_classes))
            raise UserError(f"optim: {args.optim!r} is unknown; allowed: {known}")
        optimizer_class = abs_task.optim_classes[args.optim]
        return [build_optimizer(model, optimizer_class, args.optim_conf, rate_options(args))]

    @classmethod
    def main_worker(cls, args: argparse.Namespace) -> None:
        """Train in this process, which may be a fresh one that ESPnet has spawned and that knows no class of ours."""
        register()
        super().main_worker(args)

    @classmethod
    def optional_data_names(cls, train: bool = True, inference: bool = False) -> tuple[str, ...]:
        """Declare the batch field ``group``, the index of an utterance's group."""
        return (*super().optional_data_names(train, inference), "group")

    @classmethod
    def build_task_iter_factory(cls, args: argparse.Namespace, iter_options: Any, mode: str) -> BatchFactory:
        """Build our iterator: ESPnet's hook for batches of one's own."""
        split = "train" if mode == "train" else "dev"
        table = UtteranceTable.read(Path(args.data_set), split)
        if mode == "train":
            epochs = table.training_batches(args.batching, args.seed)
            plan: Plan = lambda epoch: epochs.batches(epoch - 1)  # noqa: E731  # ESPnet counts from 1
            augmenter = Augmenter.build(check_augmentation(args.augmentation), seed=args.seed)
        else:
            batches = table.evaluation_batches(args.dev_seconds_per_batch)
            rank, world = rank_and_world()
            plan = lambda epoch: batches[rank::world]  # noqa: E731
            augmenter = None
        return BatchFactory(
            SpeechDataset.read(Path(args.data_set) / split, table, augmenter),
            plan,
            split=split,
            sliced=mode == "train",
            num_workers=args.num_workers,
            pin_memory=args.ngpu > 0,
        )
