"""What is told before a training about utterances with more labels than frames, against the loss's own judgement."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from asr_dro.data.packed_columns import read_integers
from asr_dro.errors import UserError
from asr_dro.objectives.feasibility import ctc_infeasible
from asr_dro.training.dataset import SpeechDataset
from asr_dro.training.infeasible import infeasible_utterances, warn_about_infeasible
from asr_dro.training.utterances import UtteranceTable
from tests.training.runs import build


def test_labels_and_repeats_are_counted_line_by_line(tmp_path: Path) -> None:
    lines = {"a": [1, 1, 2], "b": [2, 2, 2, 2], "c": [3], "d": [3, 4, 3], "e": [3, 3]}
    path = tmp_path / "token_ids"
    path.write_text("".join(f"{key} {' '.join(map(str, ids))}\n" for key, ids in lines.items()))
    labels = read_integers(path)[1]
    assert labels.counts.tolist() == [3, 4, 1, 3, 2]
    assert labels.repeats.tolist() == [1, 3, 0, 0, 1], "the last of a line and the first of the next are no repeat"


def test_the_loss_finds_the_same(noise_set: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model, batches = build(noise_set, tmp_path, encoder_conf={"channels": 8, "blocks": 1, "stack": 8})
    dataset = SpeechDataset.read(noise_set / "train", UtteranceTable.read(noise_set, "train"))
    found = infeasible_utterances(model, dataset)
    assert found is not None
    assert 0 < found.sum() < len(found), "the set must have both kinds for the test to mean anything"
    lost = 0
    for batch in batches:
        frames = model.encode(batch["speech"], batch["speech_lengths"])[1]
        labels = batch["text"].clamp(min=0)
        lost += int(ctc_infeasible(labels, batch["text_lengths"], frames).sum())
        losses = model.utterance_losses(batch)[1]
        assert torch.equal(losses, ctc_infeasible(labels, batch["text_lengths"], frames))
    assert lost == found.sum()
    warn_about_infeasible(model, dataset, "train")
    by_group = np.bincount(dataset.table.groups[found], minlength=2)
    for name, count in zip(("fin", "kat"), by_group, strict=True):
        assert (f"{name} {count} of 6" in caplog.text) == (count > 0)


def test_a_head_that_learns_alone_for_ever_is_refused(noise_set: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="only the head would learn"):
        build(noise_set, tmp_path, freeze_updates=1000)


def test_sounds_of_a_few_samples_are_padded_with_silence(noise_set: Path, tmp_path: Path) -> None:
    model, _ = build(noise_set, tmp_path)
    speech, lengths = torch.randn(2, 900), torch.tensor([900, 3])
    together = model.encode(speech.masked_fill(torch.arange(900) >= lengths[:, None], 0.0), lengths)
    alone = model.encode(speech[1:, :3], lengths[1:])
    assert together[1].tolist() == [1, 1]
    torch.testing.assert_close(together[0][1, :1], alone[0][0], atol=1e-5, rtol=0.0)
