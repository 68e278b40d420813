"""What hypotheses depend on, as one hash."""

from __future__ import annotations

import glob
import json
from pathlib import Path

from asr_dro.decoding.config import LANGUAGE_IN_PATH, DecodeConfig
from asr_dro.experiment import CHECKPOINTS, SELECTION
from asr_dro.fingerprint import content_fingerprint

VERSION = "2"  # raise it when the same inputs would give other hypotheses


def decode_fingerprint(data_set: Path, experiment: Path, config: DecodeConfig, split: str) -> str:
    """Hash what the hypotheses of a split depend on; the weights by the hash that training wrote beside them.

    Args:
        data_set: Prepared set.
        experiment: Folder of a finished training.
        config: Decoding configuration; its values count, not the words of its comments.
        split: ``dev`` or ``test``.
    """
    files = {
        "model": experiment / CHECKPOINTS / SELECTION,
        "audio": data_set / split / "wav.scp",
        "lengths": data_set / split / "utt2num_samples",
    }
    if config.languages == "given":
        files["languages"] = data_set / split / "utt2lang"
    if config.language_tokens:  # they are those of the training transcripts
        files |= {f"train {name}": data_set / "train" / name for name in ("token_ids", "utt2lang")}
    for role in ("lm", "word_list"):
        files |= {f"{role} {path}": path for path in _files_of(getattr(config, role))}
    return content_fingerprint(files, version=f"{VERSION} {json.dumps(config.as_mapping(), sort_keys=True)}")


def _files_of(path: str) -> list[Path]:
    """List the files that a path stands for: ``{language}`` in it is any language."""
    if LANGUAGE_IN_PATH not in path:
        return [Path(path)] if path else []
    pattern = "*".join(glob.escape(part) for part in path.split(LANGUAGE_IN_PATH))
    return [Path(found) for found in sorted(glob.glob(pattern))]
