"""One pass of the trained model over a split: the loss of each reference. The only module here that needs torch.

Legend: ``B`` utterances.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader
from tqdm import tqdm

from asr_dro.analysis.losses import AlignmentLosses
from asr_dro.data.audio_reading import UnreadableUtterances, check_audio_is_there
from asr_dro.data.packed_columns import read_strings
from asr_dro.data.tokens import TOKENS, read_token_list
from asr_dro.decoding.model_loading import load_model
from asr_dro.errors import UserError
from asr_dro.training.batches import DrawSampler, start_worker
from asr_dro.training.dataset import UNREADABLE, SpeechDataset, collate_examples
from asr_dro.training.utterances import UtteranceTable

SECONDS_PER_BATCH = 60.0


@torch.no_grad()
def reference_losses(data_set: Path, experiment: Path, split: str, *, nj: int = 1, ngpu: int = 0) -> AlignmentLosses:
    """Compute the loss of each reference's labels: CTC's, the decoder's, or of a hybrid their sum as trained.

    Args:
        data_set: The prepared set, with the files of stages 2 and 3.
        experiment: Folder of a finished training.
        split: ``dev`` or ``test``.
        nj: Processes that read audio.
        ngpu: 0 computes on the CPU, anything above on one GPU.

    Raises:
        UserError: If there is no trained model, files of stage 3 are missing, or the set's tokens are not the model's.
    """
    table = UtteranceTable.read(data_set, split)
    dataset = SpeechDataset.read(data_set / split, table)
    check_audio_is_there(read_strings(data_set / split / "wav.scp")[1], data_set / split / "wav.scp")
    device = torch.device("cuda" if ngpu else "cpu")
    model = load_model(experiment, device)
    _check_tokens(data_set, model.token_list)
    unreadable = UnreadableUtterances(split, consequence="it has no loss")
    unreadable.begin(len(dataset))
    loader: DataLoader[Any] = DataLoader(
        dataset,
        batch_sampler=DrawSampler(table.evaluation_batches(SECONDS_PER_BATCH)),
        num_workers=max(0, nj - 1),
        collate_fn=collate_examples,
        worker_init_fn=start_worker,
    )
    per_label: dict[str, float] = {}
    infeasible: set[str] = set()
    for utt_ids, batch, failures in tqdm(loader, desc=f"align {split}", unit="batch", disable=None):
        unreadable.add(failures)
        moved = {name: value.to(device) for name, value in batch.items()}
        losses, unfit = model.utterance_losses(moved)
        lengths, unread = batch["text_lengths"].clamp(min=1), batch[UNREADABLE]
        columns = (losses.float().cpu() / lengths, unfit.cpu(), unread)
        for utt_id, loss, is_unfit, is_unread in zip(utt_ids, *(c.tolist() for c in columns), strict=True):
            if is_unfit and not is_unread:
                infeasible.add(utt_id)
            elif not is_unread:
                per_label[utt_id] = loss
    return AlignmentLosses(per_label, frozenset(infeasible))


def _check_tokens(data_set: Path, token_list: list[str]) -> None:
    if read_token_list(data_set / TOKENS) != list(token_list):
        raise UserError(f"{data_set / TOKENS} is not the vocabulary of the model; give the set that it was trained on")
