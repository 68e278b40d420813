"""What made a run, beside its configuration: command, commit, versions, class of machine. Nothing personal."""

from __future__ import annotations

import datetime
import os
import platform
import shlex
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from asr_dro.data.data_dir import SAMPLE_RATE_HZ
from asr_dro.data.lengths import read_together
from asr_dro.git import git

PACKAGES = ("espnet", "torch", "torchaudio", "s3prl", "transformers", "peft", "numpy", "soundfile", "soxr")


def describe_environment(repository: Path) -> dict[str, Any]:
    """Return the content of environment.json.

    Args:
        repository: Folder of our checkout, whose commit is recorded (null outside a checkout).
    """
    commit = git(repository, "rev-parse", "HEAD")
    status = git(repository, "status", "--porcelain", "--untracked-files=no")
    return {
        "command": os.environ.get("ASR_DRO_COMMAND") or shlex.join(sys.argv),
        "commit": commit,
        "dirty": bool(status) if commit else None,
        "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version(), **_versions()},
        "host": {"cpu": _cpu(), "cores": os.cpu_count(), "memory_gb": _memory_gb(), "gpu": _gpu()},
    }


def describe_training(data_set: Path, *, ngpu: int) -> dict[str, Any]:
    """Return what a training costs and learns from, beside its seconds: for ``environment.json``.

    Args:
        data_set: Prepared set.
        ngpu: Number of GPUs of this machine; 0 is the CPU.

    Returns:
        ``device`` (``cuda`` or ``cpu``), number of ``processes``, and ``audio_s``: seconds of training audio by
        language (none where stage 1 left no languages).
    """
    audio_s: dict[str, float] = {}
    if (data_set / "train" / "utt2lang").exists():
        for _, language, samples in read_together(data_set / "train", "utt2lang", "utt2num_samples"):
            audio_s[language] = audio_s.get(language, 0.0) + int(samples) / SAMPLE_RATE_HZ
    processes = max(ngpu, int(os.environ.get("WORLD_SIZE", "1")), 1)
    return {"device": "cuda" if ngpu else "cpu", "processes": processes, "audio_s": dict(sorted(audio_s.items()))}


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _cpu() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), None)


def _memory_gb() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except (ValueError, OSError):
        return None


def _gpu() -> str | None:
    import torch

    if not torch.cuda.is_available():
        return None
    return f"{torch.cuda.device_count()} x {torch.cuda.get_device_name()}"
