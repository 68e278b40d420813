"""Stage 5: hypotheses of whole sets, in batches sorted by length, with one load of the model."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from asr_dro.config import load_yaml
from asr_dro.data.audio import ClipError
from asr_dro.data.audio_reading import check_audio_is_there, read_audio
from asr_dro.data.packed_columns import read_integers, read_strings
from asr_dro.decoding.config import DecodeConfig, read_decode_config
from asr_dro.errors import UserError
from asr_dro.experiment import CHECKPOINTS, DECODE_LOG, DECODED, HYPOTHESES, MODEL, SELECTION
from asr_dro.fileio import atomic_open, write_json
from asr_dro.fingerprint import content_fingerprint
from asr_dro.logs import chatter_to_file, log_to_file

logger = logging.getLogger(__name__)

SPLITS = ("dev", "test")


def decode_sets(
    data_set: Path, experiment: Path, config_path: Path, *, nj: int, ngpu: int, overwrite: bool = False
) -> list[Path]:
    """Decode dev and test, leaving out what is decoded already.

    Args:
        data_set: Prepared set with the files of stages 1 to 3.
        experiment: Folder of a finished training.
        config_path: Decoding configuration, conf/decode/<name>.yaml; its name becomes part of the folder's.
        nj: Processes that read audio.
        ngpu: 0 decodes on the CPU, anything above on one GPU.
        overwrite: Decode again what is decoded already.

    Returns:
        The files of hypotheses, one per split that holds an utterance.

    Raises:
        UserError: If the training is not finished, the configuration has mistakes, or audio is missing.
    """
    config = read_decode_config(config_path)
    if not (experiment / CHECKPOINTS / MODEL).exists():
        raise UserError(f"{experiment} holds no trained model; run stage 4 first")
    outputs, waiting = [], []
    for split in SPLITS:
        if _is_empty(data_set / split / "wav.scp"):
            logger.warning("%s holds no utterance: there is nothing to decode", data_set / split)
            continue
        folder = experiment / f"decode_{config_path.stem}" / split
        made_from = decode_fingerprint(data_set, experiment, config_path, split)
        outputs.append(folder / HYPOTHESES)
        done = folder / DECODED
        if not overwrite and done.exists() and _is_done(load_yaml(done), made_from, data_set / split):
            logger.info("%s is decoded already", folder)
        else:
            waiting.append((split, folder, made_from))
    for split, _, _ in waiting:
        check_audio_is_there(read_strings(data_set / split / "wav.scp")[1], data_set / split / "wav.scp")
    if waiting:
        _decode(data_set, experiment, config, waiting, nj=nj, ngpu=ngpu)
    return outputs


def _is_empty(path: Path) -> bool:
    """Tell whether a file is there and empty: some locales come without a test set."""
    return path.exists() and path.stat().st_size == 0


def _decode(
    data_set: Path,
    experiment: Path,
    config: DecodeConfig,
    waiting: Sequence[tuple[str, Path, str]],
    *,
    nj: int,
    ngpu: int,
) -> None:
    """Load the model and decode the splits that wait: (name, folder to write, what it is made from)."""
    log = waiting[0][1].parent / DECODE_LOG
    with log_to_file(log):
        with chatter_to_file(log):  # torch and ESPnet cost 10 to 20 seconds to import: only now
            from asr_dro.decoding.inference import Recognizer

        recognizer = Recognizer(data_set, experiment, config, ngpu=ngpu)
        for split, folder, made_from in waiting:
            hypotheses, unreadable = recognizer.decode_split(split, nj=nj)
            with atomic_open(folder / HYPOTHESES) as file:
                file.writelines(f"{utt_id} {hypotheses[utt_id]}".rstrip() + "\n" for utt_id in sorted(hypotheses))
            done = {"made_from": made_from, "utterances": len(hypotheses), "unreadable": unreadable}
            write_json(folder / DECODED, done)
            logger.info("decoded %d utterances -> %s", len(hypotheses) - len(unreadable), folder / HYPOTHESES)
            if unreadable:
                logger.warning("%s: %d hypotheses are empty: audio cannot be read", split, len(unreadable))


def _is_done(done: Mapping[str, Any], made_from: str, folder: Path) -> bool:
    """Tell whether a split is decoded: from the same inputs, and no audio has been mended since.

    Args:
        done: What was written after decoding.
        made_from: Fingerprint of the inputs as they are now.
        folder: The split in the prepared set.
    """
    if done.get("made_from") != made_from:
        return False
    unreadable = done.get("unreadable")
    if not unreadable:
        return True
    utt_ids, paths = read_strings(folder / "wav.scp")
    lengths = read_integers(folder / "utt2num_samples")[1]
    for position, utt_id in enumerate(utt_ids):
        if utt_id in unreadable:
            with contextlib.suppress(ClipError):
                read_audio(paths[position], int(lengths[position][0]))
                return False
    return True


def decode_fingerprint(data_set: Path, experiment: Path, config_path: Path, split: str) -> str:
    """Hash what hypotheses depend on; the weights by the hash that training wrote beside them."""
    files = {
        "model": experiment / CHECKPOINTS / SELECTION,
        "config": config_path,
        "audio": data_set / split / "wav.scp",
        "lengths": data_set / split / "utt2num_samples",
    }
    return content_fingerprint(files, version="1")
