"""Which utterances have labels that do not fit, told before a training begins.

With CTC those are the utterances with more labels than frames, with a decoder those with more labels, or longer audio,
than it takes, and with both those of either. They have no loss, so training leaves them out. If a group loses many, its
objective sees an easier group than there is: a network with fewer frames per second less often, or with longer pieces
of text as tokens, keeps them.

Shapes: ``N`` utterances.
"""

from __future__ import annotations

import logging

import numpy as np
import torch
from numpy.typing import NDArray

from asr_dro.data.data_dir import SAMPLE_RATE_HZ
from asr_dro.errors import first_of
from asr_dro.training.dataset import SpeechDataset
from asr_dro.training.model import GroupRobustASRModel

logger = logging.getLogger(__name__)

MOST_GROUPS = 10  # named in the warning


def infeasible_utterances(model: GroupRobustASRModel, dataset: SpeechDataset) -> NDArray[np.bool_] | None:
    """Return which utterances (N,) have labels that do not fit; None if the network's frames are not known.

    CTC needs one frame per label and one more between equal neighbours. No audio is opened: lengths are those of the
    prepared set, without changes of speed.
    """
    samples = torch.from_numpy(np.round(dataset.table.durations_s * SAMPLE_RATE_HZ).astype(np.int64))
    frames = model.output_lengths(samples)
    if frames is None:
        return None
    infeasible: NDArray[np.bool_] = np.zeros(len(samples), dtype=bool)
    if model.decoder is not None:
        infeasible |= (dataset.labels.counts > model.decoder.most_labels) | (frames.numpy() > model.decoder.most_frames)
    if model.ctc is not None:
        infeasible |= dataset.labels.counts + dataset.labels.repeats > frames.numpy()
    return infeasible


def warn_about_infeasible(model: GroupRobustASRModel, dataset: SpeechDataset, split: str) -> None:
    """Log how many utterances of each group will be left out.

    Args:
        model: The model.
        dataset: The utterances.
        split: Their name, for the message.
    """
    infeasible = infeasible_utterances(model, dataset)
    if infeasible is None:
        logger.info("%s: which utterances have labels that do not fit is not known beforehand with this network", split)
        return
    names = dataset.table.group_names
    lost = np.bincount(dataset.table.groups[infeasible], minlength=len(names))
    total = np.bincount(dataset.table.groups, minlength=len(names))
    if not infeasible.any():
        logger.info("%s: the labels of all %d utterances fit their audio", split, len(infeasible))
        return
    worst = sorted(np.flatnonzero(lost), key=lambda group: -lost[group] / total[group])
    shown = first_of([f"{names[group]} {lost[group]} of {total[group]}" for group in worst], MOST_GROUPS)
    reason = "more labels than frames" if model.ctc is not None else "more labels or frames than the decoder takes"
    logger.warning(
        "%s: %d of %d utterances have %s and are left out: %s",
        split, int(infeasible.sum()), len(infeasible), reason, shown,
    )  # fmt: skip
