"""Keep libraries that are imported from reaching into the network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_downloads_of_nltk() -> Iterator[None]:
    """Let nltk download nothing within the block.

    ESPnet imports ``g2p_en``, whose import asks the network for data on English pronunciation if they are missing. From
    the nodes of many clusters nothing can be reached: each job would wait for as long as the network has patience.
    """
    import nltk  # a second of work, which whoever imports ESPnet does anyway

    download = nltk.download
    nltk.download = lambda *_arguments, **_options: False
    try:
        yield
    finally:
        nltk.download = download
