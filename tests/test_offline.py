from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
WATCHED = """
import socket, sys

def refuse(*arguments, **_):
    asked.append(arguments[:2])
    raise OSError("nothing can be reached")

socket.getaddrinfo = socket.create_connection = refuse
asked = []
import asr_dro.task
sys.exit(f"asked for {asked}" if asked else 0)
"""


def test_nothing_reaches_into_the_network_when_espnet_is_imported(tmp_path: Path) -> None:
    """Neither does nltk, which finds no data in an empty folder: where packets are lost, a job would wait long."""
    environment = {"PATH": "", "HOME": str(tmp_path), "NLTK_DATA": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-O", "-W", "ignore", "-c", WATCHED]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_nltk_can_download_again_afterwards() -> None:
    import nltk

    from asr_dro.offline import no_downloads_of_nltk

    download = nltk.download
    with pytest.raises(ValueError, match="fails"), no_downloads_of_nltk():
        assert nltk.download("cmudict") is False
        raise ValueError("the import fails")
    assert nltk.download is download
