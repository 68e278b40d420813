"""Recordings to transcripts: windows of many files in batches of similar length, with bounded memory.

Shapes: ``B`` windows, ``N`` samples, ``T`` encoder frames.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.nn.utils.rnn import pad_sequence

from asr_dro.data.audio import ClipError
from asr_dro.data.data_dir import SAMPLE_RATE_HZ
from asr_dro.data.tokens import decode
from asr_dro.decoding.frame_times import BestPath, best_paths, join_paths, samples_per_frame, tokens_of
from asr_dro.decoding.model_loading import load_model
from asr_dro.decoding.recordings import Recording, Window
from asr_dro.decoding.segments import Cutting, Span
from asr_dro.decoding.transcripts import Segment, TimedToken, Transcript, timed_segment

logger = logging.getLogger(__name__)

_POOL = 4  # batches whose windows are sorted by length together

Outcome = Transcript | ClipError


@dataclass
class _Work:
    """A recording that is not finished.

    Attributes:
        recording: The recording.
        found: What the model made of each window so far: paths, or tokens without times.
        total: Number of its windows, None while it is read.
        error: Why it cannot be read.
    """

    recording: Recording
    found: dict[int, Any] = field(default_factory=dict)
    total: int | None = None
    error: ClipError | None = None

    @property
    def is_finished(self) -> bool:
        return self.error is not None or len(self.found) == self.total


class _Entry(NamedTuple):
    """A window that waits for the model, and how much of it no window before it had."""

    work: _Work
    number: int
    window: Window
    new_s: float


class Transcriber:
    """A model at work on recordings.

    Args:
        experiment: Folder of a finished training.
        cutting: How long recordings are cut.
        ngpu: 0 computes on the CPU, anything above on one GPU.
        seconds_per_batch: Audio that the model hears at a time, padding included.
        progress: Is told the seconds of audio that were worked on.

    Raises:
        UserError: If there is no trained model.
    """

    def __init__(
        self,
        experiment: Path,
        *,
        cutting: Cutting | None = None,
        ngpu: int = 0,
        seconds_per_batch: float = 60.0,
        progress: Callable[[float], object] = lambda seconds: None,
    ) -> None:
        self.device = torch.device("cuda" if ngpu else "cpu")
        self.model = load_model(experiment, self.device)
        self.vocabulary: list[str] = list(self.model.token_list)
        self.cutting = cutting or Cutting()
        self.samples_per_batch = round(seconds_per_batch * SAMPLE_RATE_HZ)
        self.progress = progress
        # A decoder writes tokens without saying when it heard them; a hybrid is transcribed with its CTC.
        self.step = 0 if self.model.ctc is None else samples_per_frame(self.model.lengths)

    def transcribe(self, files: Iterable[Path]) -> Iterator[tuple[Path, Outcome]]:
        """Yield each file with its transcript, or with why it has none, in the order given.

        Args:
            files: Audio files.
        """
        waiting: list[_Work] = []
        pool: list[_Entry] = []
        size = 0
        for path in files:
            work = _Work(Recording(path, self.cutting, self.step))
            waiting.append(work)
            for entry in self._windows(work):
                pool.append(entry)
                size += len(entry.window.samples)
                if size >= _POOL * self.samples_per_batch:
                    self._recognise(pool)
                    pool, size = [], 0
            while waiting and waiting[0].is_finished:
                yield self._finish(waiting.pop(0))
        self._recognise(pool)
        for work in waiting:
            yield self._finish(work)

    def _windows(self, work: _Work) -> Iterator[_Entry]:
        stop = 0
        try:
            for number, window in enumerate(work.recording.windows()):
                yield _Entry(work, number, window, (window.span.stop - max(stop, window.span.start)) / SAMPLE_RATE_HZ)
                stop = window.span.stop
            work.total = len(work.recording.plan.windows)
        except ClipError as error:
            work.error = error

    def _recognise(self, pool: list[_Entry]) -> None:
        """Let the model hear all windows of a pool, longest first: what does not fit the memory fails at once."""
        pool = sorted(pool, key=lambda entry: -len(entry.window.samples))
        while pool:
            count = max(1, self.samples_per_batch // max(1, len(pool[0].window.samples)))
            batch, pool = pool[:count], pool[count:]
            found = self._hear([entry.window for entry in batch])
            for entry, outcome in zip(batch, found, strict=True):
                entry.work.found[entry.number] = outcome
                self.progress(entry.new_s)

    @torch.no_grad()
    def _hear(self, windows: Sequence[Window]) -> Sequence[BestPath] | Sequence[list[int]]:
        samples = [torch.from_numpy(window.samples) for window in windows]
        speech = pad_sequence(samples, batch_first=True).to(self.device)  # (B, N)
        lengths = torch.tensor([len(window.samples) for window in windows], device=self.device)
        if not self.step:
            return self.model.greedy(speech, lengths)
        logits, frames = self.model.ctc_logits(speech, lengths)
        return best_paths(logits, frames)

    def _finish(self, work: _Work) -> tuple[Path, Outcome]:
        recording = work.recording
        if work.error is not None:
            return recording.path, work.error
        plan = recording.plan
        members: list[list[int]] = [[] for _ in plan.segments]
        for number, (segment, _) in enumerate(plan.windows):
            members[segment].append(number)
        segments = []
        for place, numbers in zip(plan.segments, members, strict=True):
            spans = [plan.windows[number][1] for number in numbers]
            found = [work.found[number] for number in numbers]
            segments += self._timed(place, spans, found) if self.step else self._untimed(spans, found)
        kept = tuple(segment for segment in segments if segment.text or segment.language)
        return recording.path, Transcript(str(recording.path), plan.samples / SAMPLE_RATE_HZ, kept)

    def _timed(self, place: Span, spans: Sequence[Span], paths: Sequence[BestPath]) -> list[Segment]:
        """Return the segment of windows that overlap."""
        blank = self.model.blank_id
        joined = join_paths(paths, [(span.start - place.start) // self.step for span in spans], blank)
        tokens = [
            TimedToken(
                token.label,
                min(place.start + token.start * self.step, place.stop) / SAMPLE_RATE_HZ,
                min(place.start + token.stop * self.step, place.stop) / SAMPLE_RATE_HZ,
                token.confidence,
            )
            for token in tokens_of(joined, blank)
        ]
        return [timed_segment(place.start / SAMPLE_RATE_HZ, place.stop / SAMPLE_RATE_HZ, tokens, self.vocabulary)]

    def _untimed(self, spans: Sequence[Span], found: Sequence[list[int]]) -> list[Segment]:
        """Return a segment for each window."""
        segments = []
        for span, labels in zip(spans, found, strict=True):
            language, text = decode(labels, self.vocabulary)
            segments.append(Segment(span.start / SAMPLE_RATE_HZ, span.stop / SAMPLE_RATE_HZ, language, None, text))
        return segments
