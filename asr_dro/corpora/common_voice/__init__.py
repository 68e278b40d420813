"""Common Voice, every release: folders or the archives as they are downloaded."""

from asr_dro.corpora.common_voice.opening import open_corpus

__all__ = ["open_corpus"]
