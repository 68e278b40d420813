"""Stages 2 and 3: the vocabulary, the groups, and the lengths and labels of each utterance, from metadata only."""

from __future__ import annotations

import logging
from pathlib import Path

from asr_dro.data.data_dir import SAMPLE_RATE_HZ, SPLITS, read_two_columns, write_two_columns
from asr_dro.data.done import fingerprint, is_made_from, mark_made_from, write_if_changed
from asr_dro.data.tokens import build_token_list, encode, read_token_list, token_index, write_token_list
from asr_dro.errors import UserError

logger = logging.getLogger(__name__)

_TOKENS_MARKER, _LENGTHS_MARKER = ".tokens.done.json", ".lengths.done.json"


def make_tokens(prepared: Path) -> bool:
    """Write ``tokens.txt`` from the training transcripts.

    Args:
        prepared: Folder of the prepared set.

    Returns:
        False if it was there already, made from the same transcripts.

    Raises:
        UserError: If stage 1 has not been run.
    """
    sources = [prepared / "train" / name for name in ("text", "utt2lang")]
    inputs, marker, tokens = {"files": fingerprint(sources)}, prepared / _TOKENS_MARKER, prepared / "tokens.txt"
    if is_made_from(marker, inputs, [tokens]):
        return False
    texts, languages = (read_two_columns(source) for source in sources)
    if not texts:
        raise UserError(f"{sources[0]} is empty; run stage 1 (data) again")
    write_token_list(tokens, build_token_list(texts.values(), languages.values()))
    mark_made_from(marker, inputs)
    return True


def _outputs(prepared: Path) -> list[Path]:
    names = ("utt2num_samples", "token_ids", "group_ids")
    return [prepared / "groups.txt", *(prepared / split / name for split in SPLITS for name in names)]


def read_groups(path: Path) -> list[str]:
    """Read ``groups.txt``; the position of a name is its index.

    Raises:
        UserError: If the file is missing.
    """
    try:
        return path.read_text(encoding="utf-8").split()
    except FileNotFoundError:
        raise UserError(f"{path} is missing; run stage 3 (lengths) first") from None


def make_lengths(prepared: Path) -> bool:
    """Write ``groups.txt`` and, for each split, ``utt2num_samples``, ``token_ids`` and ``group_ids``.

    Args:
        prepared: Folder of the prepared set, with ``tokens.txt``.

    Returns:
        False if all were there already, made from the same files.

    Raises:
        UserError: If an earlier stage has not been run, or dev or test has a group or language that train lacks.
    """
    names = ("text", "utt2lang", "utt2group", "utt2dur")
    sources = [prepared / "tokens.txt", *(prepared / split / name for split in SPLITS for name in names)]
    inputs, marker = {"files": fingerprint(sources)}, prepared / _LENGTHS_MARKER
    if is_made_from(marker, inputs, _outputs(prepared)):
        return False
    index = token_index(read_token_list(prepared / "tokens.txt"))
    groups = sorted(set(read_two_columns(prepared / "train" / "utt2group").values()))
    write_if_changed(prepared / "groups.txt", "".join(f"{group}\n" for group in groups))
    for split in SPLITS:
        _make_split(prepared / split, index, {group: position for position, group in enumerate(groups)})
    mark_made_from(marker, inputs)
    return True


def _make_split(folder: Path, index: dict[str, int], groups: dict[str, int]) -> None:
    durations = read_two_columns(folder / "utt2dur")
    samples = {utt_id: str(round(float(duration) * SAMPLE_RATE_HZ)) for utt_id, duration in durations.items()}
    utt2lang = read_two_columns(folder / "utt2lang")
    labels = {
        utt_id: " ".join(map(str, encode(text, utt2lang[utt_id], index)))
        for utt_id, text in read_two_columns(folder / "text").items()
    }
    utt2group = read_two_columns(folder / "utt2group")
    unknown = sorted(set(utt2group.values()) - set(groups))
    if unknown:
        raise UserError(f"{folder / 'utt2group'}: train has no utterance of the groups {' '.join(unknown)}")
    group_ids = {utt_id: str(groups[group]) for utt_id, group in utt2group.items()}
    for name, column in (("utt2num_samples", samples), ("token_ids", labels), ("group_ids", group_ids)):
        write_two_columns(folder / name, column)
