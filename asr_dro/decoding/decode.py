"""Stage 5: hypotheses of whole sets, in batches sorted by length, shared out over processes, GPUs or array jobs.

Finished batches are kept in part files (``parts``), so that a killed decoding goes on, and merged once all are there.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from asr_dro.data.audio_reading import check_audio_is_there
from asr_dro.data.packed_columns import read_strings
from asr_dro.data.processes import exclusive
from asr_dro.decoding.config import DecodeConfig, read_decode_config
from asr_dro.decoding.fingerprint import decode_fingerprint
from asr_dro.decoding.parts import PARTS, open_part, part_paths
from asr_dro.decoding.progress import Progress
from asr_dro.decoding.shards import Shard, share_out
from asr_dro.decoding.splits import Split
from asr_dro.decoding.workers import Order, Share, decode_order, decode_orders
from asr_dro.errors import UserError
from asr_dro.experiment import CHECKPOINTS, DECODE_LOG, DECODE_PREFIX, DECODED, HYPOTHESES, MODEL

logger = logging.getLogger(__name__)

_Job = tuple[Split, int]  # a batch of a split, by its number

SPLITS = ("dev", "test")
LEAST_AUDIO_S = 600.0  # for which another process on the CPU pays: it takes 5 to 20 seconds to start


@dataclass(frozen=True)
class _Stage:
    """What decoding is asked for, and the machine that it may use."""

    data_set: Path
    experiment: Path
    config: DecodeConfig
    folder: Path
    nj: int
    ngpu: int
    splits: list[Split] = field(default_factory=list)

    def order(self, shares: Sequence[Share], number: int = 0, *, alone: bool = True) -> Order:
        """Return the work of a process.

        Args:
            shares: What it decodes.
            number: Which process it is, from 0.
            alone: Whether there is no other.
        """
        common = (self.data_set, self.experiment, self.config, self.folder / DECODE_LOG, shares)
        if self.ngpu:
            return Order(*common, device=f"cuda:{number}", readers=max(1, self.nj // self.ngpu))
        return Order(*common, readers=self.nj - 1 if alone else 0)


def decode_sets(
    data_set: Path,
    experiment: Path,
    config_path: Path,
    *,
    nj: int,
    ngpu: int,
    overwrite: bool = False,
    shard: Shard | None = None,
) -> list[Path]:
    """Decode dev and test, leaving out what is decoded already.

    Args:
        data_set: Prepared set with the files of stages 1 to 3.
        experiment: Folder of a finished training.
        config_path: Decoding configuration, conf/decode/<name>.yaml; its name becomes part of the folder's.
        nj: Processes: on the CPU they decode, of a GPU or a shard they read audio.
        ngpu: 0 decodes on the CPU, otherwise a process on each of so many GPUs.
        overwrite: Decode again what is decoded already; a decoding that was interrupted goes on all the same.
        shard: Decode this share of each split only; whoever finds all shares decoded merges them.

    Returns:
        The files of hypotheses, one per split that holds an utterance; of a shard they may not be there yet.

    Raises:
        UserError: If the training is not finished, the configuration has mistakes, audio is missing, or finished parts
            do not fit together.
    """
    _check_options(nj=nj, ngpu=ngpu, overwrite=overwrite, shard=shard)
    config = read_decode_config(config_path)
    if not (experiment / CHECKPOINTS / MODEL).exists():
        raise UserError(f"{experiment} holds no trained model; run stage 4 first")
    folder = experiment / f"{DECODE_PREFIX}{config_path.stem}"
    stage = _Stage(data_set, experiment, config, folder, nj, ngpu)
    for name in SPLITS:
        if _is_empty(data_set / name / "wav.scp"):
            logger.warning("%s holds no utterance: there is nothing to decode", data_set / name)
            continue
        made_from = decode_fingerprint(data_set, experiment, config, name)
        stage.splits.append(Split(data_set, name, folder / name, made_from, config))
    if shard is None:
        with exclusive(folder / PARTS):
            _decode_all(stage, overwrite=overwrite)
    else:
        _decode_shard(stage, shard)
    return [split.folder / HYPOTHESES for split in stage.splits]


def _check_options(*, nj: int, ngpu: int, overwrite: bool, shard: Shard | None) -> None:
    problems = []
    if nj < 1:
        problems.append(f"--nj {nj}: at least one process is needed")
    if ngpu < 0:
        problems.append(f"--ngpu {ngpu}: 0 for the CPU, or a number of GPUs")
    if shard is not None and overwrite:
        problems.append(f"--overwrite --shard {shard}: to decode shards again, remove the folder decode_... first")
    if shard is not None and ngpu > 1:
        problems.append(f"--ngpu {ngpu} --shard {shard}: a shard is decoded on one GPU; give each its own")
    if problems:
        raise UserError("these options do not go:\n  " + "\n  ".join(problems))


def _is_empty(path: Path) -> bool:
    """Tell whether a file is there and empty: some locales come without a test set."""
    return path.exists() and path.stat().st_size == 0


def _decode_all(stage: _Stage, *, overwrite: bool) -> None:
    """Decode what no part file has, with all processes or GPUs, and merge."""
    waiting = []
    for split in stage.splits:
        if split.is_done():
            if not overwrite:
                logger.info("%s is decoded already", split.folder)
                continue
            split.remove_parts()
            (split.folder / DECODED).unlink()  # from here on it is a decoding that was begun, and would go on
        waiting.append(split)
    left: list[_Job] = []
    for split in waiting:
        for path in part_paths(split.parts, split.name):
            with open_part(path, split.made_from) as part:  # waits for whoever is still decoding a shard
                part.forget(split.mended(part.batches))
        finished = split.finished_numbers()
        left += [(split, number) for number in range(len(split.batches)) if number not in finished]
    shares = share_out([split.costs[number] for split, number in left], _processes(stage, left))
    orders = [
        stage.order(_shares([left[place] for place in share], f"local-{process}"), process, alone=len(shares) == 1)
        for process, share in enumerate(shares)
        if share
    ]
    _work(orders, total_s=sum(sum(split.audio_s) for split in waiting))
    for split in waiting:
        split.merge()


def _decode_shard(stage: _Stage, shard: Shard) -> None:
    """Decode one share of each split; merge the splits of which every batch is there."""
    name = f"{shard.number}-of-{shard.total}"
    mine: list[_Job] = []
    left: list[_Job] = []
    with exclusive(stage.folder / PARTS):  # waits for whoever decodes the whole set
        waiting = [split for split in stage.splits if not split.is_done()]
        for split in waiting:
            with open_part(_part_path(split, name), split.made_from) as part:
                part.forget(split.mended(part.batches))
            finished = split.finished_numbers()
            share = share_out(split.costs, shard.total)[shard.number - 1]
            mine += [(split, number) for number in share]
            left += [(split, number) for number in share if number not in finished]
    if left:
        _work([stage.order(_shares(left, name))], total_s=_audio_s(mine))
    for split in stage.splits:
        if split not in waiting:
            logger.info("%s is decoded already", split.folder)
            continue
        with exclusive(split.parts):
            _merge_if_whole(split, shard)


def _merge_if_whole(split: Split, shard: Shard) -> None:
    finished = split.finished_numbers()
    if split.is_done():
        logger.info("%s: the process of another shard has merged them", split.folder)
        split.remove_parts()
    elif len(finished) < len(split.batches):
        numbers = (shard, len(finished), len(split.batches))
        logger.info("%s: shard %s is decoded; with it there are %d of %d batches", split.folder, *numbers)
    else:
        split.merge()


def _processes(stage: _Stage, left: Sequence[_Job]) -> int:
    """Return how many processes pay for what is left to decode."""
    if stage.ngpu:
        return min(stage.ngpu, max(1, len(left)))
    return min(stage.nj, 1 + int(_audio_s(left) / LEAST_AUDIO_S))


def _shares(jobs: Sequence[_Job], name: str) -> list[Share]:
    """Return jobs split by split, with part files of this name."""
    splits = list(dict.fromkeys(split.name for split, _ in jobs))
    shares = []
    for wanted in splits:
        numbers = [number for split, number in jobs if split.name == wanted]
        split = next(split for split, _ in jobs if split.name == wanted)
        batches = {number: split.batches[number] for number in numbers}
        audio_s = {number: split.audio_s[number] for number in numbers}
        shares.append(Share(split.name, split.made_from, _part_path(split, name), batches, audio_s))
    return shares


def _part_path(split: Split, name: str) -> Path:
    return split.parts / f"{split.name}.{name}.jsonl"


def _audio_s(jobs: Iterable[_Job]) -> float:
    return sum(split.audio_s[number] for split, number in jobs)


def _work(orders: Sequence[Order], *, total_s: float) -> None:
    """Decode, with a progress bar over what is left of so many seconds of audio."""
    if not orders:
        return
    for data_set, name in {(order.data_set, share.split) for order in orders for share in order.shares}:
        check_audio_is_there(read_strings(data_set / name / "wav.scp")[1], data_set / name / "wav.scp")
    left_s = sum(sum(share.audio_s.values()) for order in orders for share in order.shares)
    with Progress("decode", total_s, total_s - left_s) as progress:
        if len(orders) == 1:
            decode_order(orders[0], progress.add)
        else:
            decode_orders(orders, progress.add)
