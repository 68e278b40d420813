"""Common Voice, every release: folders or the archives as they are downloaded."""

from asr_dro.corpora.common_voice.legacy import LocaleFolder, Quarantined, Row, find_locales, read_split
from asr_dro.corpora.common_voice.opening import open_corpus

__all__ = ["LocaleFolder", "Quarantined", "Row", "find_locales", "open_corpus", "read_split"]
