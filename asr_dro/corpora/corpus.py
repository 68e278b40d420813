"""What stage 1 asks of a corpus: parts with rows, and the audio that the rows speak of.

A part is a portion with audio of its own: a locale of Common Voice, a language in one corpus of ML-SUPERB, a manifest.
A reader of a new corpus implements :class:`Part` and :class:`AudioSource`, and is named in ``corpora/registry.py``.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from asr_dro.data.config import DataConfig


def clip_name(clip: str) -> str:
    """Return the name of a clip for files and ids: without its ending; folders become part of it, white space ``_``."""
    return "_".join(os.path.splitext(clip)[0].replace("/", "_").split())


@dataclass(frozen=True, slots=True)
class Row:
    """One usable row of a part's table.

    Args:
        clip: Name of the clip in its part; a relative path for corpora that are folders.
        sentence: Raw transcript.
        speaker: The corpus's name of the speaker; empty if it is not known.
        language: Label in ``data/languages.tsv``.
        duration_s: Length in seconds where the corpus's tables have it; None: ask the audio.
        columns: Values of the columns that ``DataConfig.group`` names, but for ``language``, in that order.
        corpus: Where the row itself says which corpus it is of; empty: that of its part.
    """

    clip: str
    sentence: str
    speaker: str
    language: str
    duration_s: float | None = None
    columns: tuple[str, ...] = ()
    corpus: str = ""

    @property
    def name(self) -> str:
        """Name for files and ids (see :func:`clip_name`)."""
        return clip_name(self.clip)


@dataclass(frozen=True, slots=True)
class Quarantined:
    """One row that cannot be used.

    Args:
        clip: Name of the clip, or table and line if the row has none.
        reason: What is wrong; one line without tabs.
        language: Label of the row if it is known; by default the part's, where its name begins with one.
    """

    clip: str
    reason: str
    language: str = ""


@dataclass(frozen=True, slots=True)
class EncodedClip:
    """A clip as its corpus holds it.

    Args:
        clip: Its name in the part.
        content: A file of any format that libsndfile reads, or the bytes of one.
        time_ns: Time of the last change of what holds it (file, archive, table): newer ones are decoded anew.
        start_s: Where the clip begins in the file.
        length_s: Its length in the file; None: to the end.
    """

    clip: str
    content: Path | bytes
    time_ns: int
    start_s: float = 0.0
    length_s: float | None = None


class AudioSource(ABC):
    """The audio of one part."""

    @abstractmethod
    def clips(self, wanted: Collection[str]) -> Iterator[EncodedClip]:
        """Yield the wanted clips in any order, each at most once; those that are not there are left out.

        Files are yielded as paths, unopened: worker processes read them. Archives and tables yield bytes.
        """

    def path(self, clip: str) -> Path | None:
        """Return the file that is exactly this clip, which ``audio: keep`` trains from; None if there is none."""
        return None


class Part(ABC):
    """A portion of a corpus.

    Attributes:
        name: Unique in the corpus, such as ``fin/fi``; the folder of its audio below ``data/audio/<corpus>``.
        draws_itself: Whether ``train`` already is what ``CorpusRequest.duration`` names, by a list that the corpus
            publishes, so that nothing is left to draw.
        corpus: What scores of its rows are told apart by, in ``utt2corpus``; empty: the whole corpus has one name.
    """

    name: str
    corpus: str = ""
    draws_itself: bool = False

    @property
    @abstractmethod
    def audio(self) -> AudioSource:
        """The audio of all splits."""

    @abstractmethod
    def inputs(self) -> Sequence[Path]:
        """Return tables, archives and folders; a change of size or time of any makes stage 1 read the part again."""

    @abstractmethod
    def rows(self, split: str) -> Iterator[Row | Quarantined]:
        """Yield exactly one item for each row of ``train``, ``dev`` or ``test``; may be called more than once.

        A row that cannot be used never stops the reading and never shifts its neighbours. Rows of languages that were
        not asked for are not yielded.
        """

    def remarks(self) -> Sequence[str]:
        """Return what a user should read about this part, such as the sizes of its splits; called after ``rows``."""
        return ()


@dataclass(frozen=True)
class CorpusRequest:
    """What a reader is asked for.

    Args:
        source: Folder or file of the corpus, from ``db.sh``.
        languages: Sorted labels of ``data/languages.tsv``.
        config: How the corpus is read.
        cache: Folder for what a reader wants to keep between runs, such as the tables of an archive.
        only: For some languages, the names of the sub-corpora to take (second column of a language set's file).
        duration: Training audio per language, such as ``10min``, as it was given; ``all``: no limit. Stage 1 draws it
            from what the parts yield, but for parts with ``draws_itself``.
    """

    source: Path
    languages: Sequence[str]
    config: DataConfig
    cache: Path
    only: Mapping[str, frozenset[str]] = field(default_factory=dict)
    duration: str = "all"
