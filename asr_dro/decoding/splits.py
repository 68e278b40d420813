"""A split on its way to hypotheses: its batches, which of them are finished, and whether all is done."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from asr_dro.batching import Batch
from asr_dro.config import load_yaml
from asr_dro.data.audio import ClipError
from asr_dro.data.audio_reading import most_unreadable, read_audio
from asr_dro.data.packed_columns import read_integers, read_strings
from asr_dro.decoding.config import DecodeConfig
from asr_dro.decoding.merging import merge
from asr_dro.decoding.parts import PARTS, FinishedBatch, part_paths, read_part
from asr_dro.decoding.shards import batch_seconds
from asr_dro.errors import UserError
from asr_dro.experiment import DECODED, DETAILS, HYPOTHESES
from asr_dro.training.utterances import UtteranceTable


@dataclass(frozen=True)
class Split:
    """A split to decode.

    Attributes:
        data_set: Prepared set.
        name: ``dev`` or ``test``.
        folder: Where its hypotheses go.
        made_from: Fingerprint of the inputs.
        config: Decoding configuration.
    """

    data_set: Path
    name: str
    folder: Path
    made_from: str
    config: DecodeConfig

    @property
    def parts(self) -> Path:
        """Folder of part files."""
        return self.folder.parent / PARTS

    @cached_property
    def table(self) -> UtteranceTable:
        """Its utterances."""
        return UtteranceTable.read(self.data_set, self.name)

    @cached_property
    def batches(self) -> list[Batch]:
        """All batches; a batch's number is its place in this list, whoever decodes it."""
        return self.table.evaluation_batches(self.config.seconds_per_batch)

    @cached_property
    def audio_s(self) -> list[float]:
        """Seconds of audio of each batch."""
        return [float(self.table.durations_s[batch.indices].sum()) for batch in self.batches]

    @cached_property
    def costs(self) -> list[float]:
        """Seconds of audio of each batch, padding counted."""
        return batch_seconds(self.batches, self.table.durations_s)

    def finished(self) -> list[FinishedBatch]:
        """Return all finished batches of all part files; one that is in two of them comes twice."""
        return [batch for part in self._contents() for batch in part.values()]

    def finished_numbers(self) -> set[int]:
        """Return the numbers of finished batches."""
        return {number for part in self._contents() for number in part}

    def _contents(self) -> list[dict[int, FinishedBatch]]:
        return [read_part(path, self.made_from).batches for path in part_paths(self.parts, self.name)]

    def is_done(self) -> bool:
        """Tell whether it is decoded: from the same inputs, and no audio has been mended since."""
        outputs = [HYPOTHESES, DETAILS] if self.config.keeps_details else [HYPOTHESES]
        done = self.folder / DECODED
        if not done.exists() or not all((self.folder / name).exists() for name in outputs):
            return False
        marker = load_yaml(done)
        return marker.get("made_from") == self.made_from and not _can_be_read(
            self.data_set / self.name, marker.get("unreadable") or {}
        )

    def mended(self, batches: Mapping[int, FinishedBatch]) -> list[int]:
        """Return the numbers of those batches that had unreadable audio which can be read by now."""
        return [number for number, batch in batches.items() if _can_be_read(self.data_set / self.name, batch.failures)]

    def remove_parts(self) -> None:
        """Remove what finished batches left; the merged files have it all."""
        for path in part_paths(self.parts, self.name):
            path.unlink()

    def merge(self) -> None:
        """Write the hypotheses.

        Raises:
            UserError: If an utterance is missing, surplus or double, or too many could not be read.
        """
        batches = self.finished()
        failures = {utt_id: reason for batch in batches for utt_id, reason in batch.failures.items()}
        if len(failures) > (most := most_unreadable(len(self.table.utt_ids))):  # processes counted their own alone
            raise UserError(
                f"{self.name}: {len(failures)} utterances could not be read, and more than {most} are too many; the "
                f"last: {list(failures.values())[-1]}. Is the corpus still there, and whole? Mend it and start again."
            )
        done = {"made_from": self.made_from, "config": self.config.as_mapping()}
        merge(self.folder, self.table.utt_ids, batches, done)
        self.remove_parts()


def _can_be_read(folder: Path, failures: Mapping[str, str]) -> bool:
    """Tell whether one of the utterances whose audio could not be read can be by now.

    Args:
        folder: The split in the prepared set.
        failures: Reason by utterance id.
    """
    if not failures:
        return False
    utt_ids, paths = read_strings(folder / "wav.scp")
    lengths = read_integers(folder / "utt2num_samples")[1]
    for position, utt_id in enumerate(utt_ids):
        if utt_id in failures:
            with contextlib.suppress(ClipError):
                read_audio(paths[position], int(lengths[position][0]))
                return True
    return False
