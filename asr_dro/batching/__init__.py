"""Batches and schedules, computed from metadata only; needs numpy only."""

from asr_dro.batching.config import BatchingConfig
from asr_dro.batching.epoch import EpochBatches, build_batches, default_seconds_per_batch
from asr_dro.batching.utterances import MIXED, Batch, Utterances, padding_share, shard

__all__ = [
    "MIXED",
    "Batch",
    "BatchingConfig",
    "EpochBatches",
    "Utterances",
    "build_batches",
    "default_seconds_per_batch",
    "padding_share",
    "shard",
]
