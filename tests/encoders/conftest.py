from __future__ import annotations

from pathlib import Path

import pytest

from tools.make_tiny_checkpoints import make_fairseq, make_wav2vec2


@pytest.fixture(scope="session")
def tiny_wav2vec2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``xlsr`` and ``base`` (Hugging Face) and ``xlsr.pt`` (fairseq)."""
    folder = tmp_path_factory.mktemp("tiny")
    make_wav2vec2(folder / "xlsr", large=True)
    make_wav2vec2(folder / "base", large=False)
    make_fairseq(folder / "xlsr", folder / "xlsr.pt")
    return folder
