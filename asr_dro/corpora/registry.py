"""The corpora that ``--corpus`` may name, and the module that reads each."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from asr_dro.corpora.corpus import CorpusRequest, Part

_READERS = {
    "mini": "common_voice",
    "common_voice": "common_voice",
    "ml_superb": "ml_superb",
    "manifest": "manifest",
    "hf_dataset": "hf_dataset",
}
CORPORA = tuple(sorted(_READERS))


def open_corpus(name: str, request: CorpusRequest) -> Sequence[Part]:
    """Find the parts that hold the wanted languages, and check all of them before any work.

    Each reader is a module of this package with a function ``open_corpus(request)``.

    Args:
        name: One of ``CORPORA``.
        request: What is asked for.

    Returns:
        Parts in a fixed order.

    Raises:
        UserError: With all problems at once: missing languages, files, columns.
    """
    reader = importlib.import_module(f"asr_dro.corpora.{_READERS[name]}")
    parts: Sequence[Part] = reader.open_corpus(request)
    return parts
