"""Losses of the references under the trained model, kept beside the scores: how well each transcript fits its audio."""

from __future__ import annotations

import json
import logging
import math
from dataclasses import dataclass
from pathlib import Path

from asr_dro.analysis.state import LOSSES
from asr_dro.errors import UserError
from asr_dro.experiment import CHECKPOINTS, MODEL, SELECTION
from asr_dro.fileio import write_json
from asr_dro.fingerprint import content_fingerprint
from asr_dro.logs import chatter_to_file, log_to_file

logger = logging.getLogger(__name__)

STAGE_3 = ("utt2num_samples", "token_ids")
LOG = "analyze.log"


@dataclass(frozen=True)
class AlignmentLosses:
    """What a pass with the model found.

    Attributes:
        per_label: Loss of the reference's labels divided by their number (nats), by utterance id; utterances without
            a finite loss are left out.
        infeasible: Utterances whose labels do not fit the network's frames.
    """

    per_label: dict[str, float]
    infeasible: frozenset[str]


def fingerprint(data_set: Path, experiment: Path, split: str) -> str:
    """Hash what the losses depend on; the weights by the hash that training wrote beside them."""
    files = {name: data_set / split / name for name in ("wav.scp", *STAGE_3)}
    return content_fingerprint({**files, "model": experiment / CHECKPOINTS / SELECTION}, version="1")


def read_losses(path: Path, made_from: str) -> AlignmentLosses | None:
    """Read losses that were written before; None if there are none, or they were made from something else."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["made_from"] != made_from:
            return None
        per_label = {str(utt_id): float(loss) for utt_id, loss in found["per_label"].items()}
        return AlignmentLosses(per_label, frozenset(found["infeasible"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def losses_of_split(
    data_set: Path, experiment: Path, decode_dir: Path, split: str, *, align: bool, nj: int = 1, ngpu: int = 0
) -> AlignmentLosses | None:
    """Return the losses of a split: those on disk if they are up to date, else computed if asked for.

    Args:
        data_set: The prepared set, with the files of stages 2 and 3.
        experiment: Folder of a finished training.
        decode_dir: ``exp/<tag>/decode_<decode>``; the losses are kept in its folder of the split.
        split: ``dev`` or ``test``.
        align: Compute them if they are not there.
        nj: Processes that read audio.
        ngpu: 0 computes on the CPU, anything above on one GPU.

    Raises:
        UserError: If there is no trained model, or the files of stage 3 are missing.
    """
    path = decode_dir / split / LOSSES
    made_from = fingerprint(data_set, experiment, split)
    losses = read_losses(path, made_from)
    if losses is not None or not align:
        return losses
    needed = [data_set / split / name for name in STAGE_3] + [experiment / CHECKPOINTS / MODEL]
    if missing := [str(file) for file in needed if not file.exists()]:
        raise UserError(f"{', '.join(missing)} is missing; run the earlier stages first")
    log = decode_dir / LOG
    with log_to_file(log):
        with chatter_to_file(log):  # torch and ESPnet cost seconds to import: only now
            from asr_dro.analysis.alignment import reference_losses

        losses = reference_losses(data_set, experiment, split, nj=nj, ngpu=ngpu)
    kept = {utt_id: loss for utt_id, loss in sorted(losses.per_label.items()) if math.isfinite(loss)}
    write_json(path, {"made_from": made_from, "per_label": kept, "infeasible": sorted(losses.infeasible)})
    logger.info("loss of the reference of %d utterances -> %s", len(kept), path)
    return losses
