"""Part files -> hypotheses of a split, once every utterance is there and none twice."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from asr_dro.decoding.parts import FinishedBatch
from asr_dro.errors import UserError, first_of
from asr_dro.experiment import DECODED, DETAILS, HYPOTHESES
from asr_dro.fileio import atomic_open, json_lines, write_json

logger = logging.getLogger(__name__)


def merge(folder: Path, utt_ids: Iterable[str], batches: Sequence[FinishedBatch], done: Mapping[str, Any]) -> None:
    """Write ``text``, ``nbest.jsonl`` if there are details, and last the marker.

    Args:
        folder: ``decode_<decode>/<split>``.
        utt_ids: All utterances of the split.
        batches: What was recognised, in any order.
        done: For the marker: what this was made from, under ``made_from``, and what else is to be known.

    Raises:
        UserError: If an utterance is missing, surplus or double; nothing is written then.
    """
    places = _checked(folder, list(utt_ids), batches)
    (folder / DECODED).unlink(missing_ok=True)  # it speaks of the files that are now replaced
    with atomic_open(folder / HYPOTHESES) as file:
        file.writelines(f"{record['utt_id']} {record['text']}".rstrip() + "\n" for record in _records(places))
    if done["config"]["nbest"] > 1 or done["config"]["times"]:
        with atomic_open(folder / DETAILS) as file:
            file.writelines(json_lines(_details(record) for record in _records(places)))
    else:
        (folder / DETAILS).unlink(missing_ok=True)
    failures = {utt_id: reason for batch in batches for utt_id, reason in batch.failures.items()}
    audio_s = sum(batch.audio_s for batch in batches)
    seconds = sum(batch.seconds for batch in batches)
    measured = {
        "audio_s": round(audio_s, 3),
        "seconds": round(seconds, 3),
        "real_time_factor": round(seconds / audio_s, 6) if audio_s else None,
        "devices": sorted({batch.device for batch in batches}),
    }
    unreadable = dict(sorted(failures.items()))
    write_json(folder / DECODED, {**done, "utterances": len(places), "unreadable": unreadable, **measured})
    logger.info(
        *("decoded %d utterances, %.2f h of audio, real-time factor %.2g -> %s",),
        *(len(places) - len(failures), audio_s / 3600, measured["real_time_factor"] or 0, folder / HYPOTHESES),
    )
    if failures:
        logger.warning("%s: %d hypotheses are empty: audio cannot be read", folder.name, len(failures))


def _checked(folder: Path, utt_ids: list[str], batches: Sequence[FinishedBatch]) -> dict[str, tuple[Path, int]]:
    """Return the place of each utterance, sorted by id, if each is there once."""
    places: dict[str, tuple[Path, int]] = {}
    double = []
    for batch in batches:
        for utt_id, place in batch.places.items():
            if utt_id in places:
                double.append(utt_id)
            places[utt_id] = (batch.path, place)
    expected = set(utt_ids)
    problems = {
        "have no hypothesis": sorted(expected - places.keys()),
        "are not in the prepared set": sorted(places.keys() - expected),
        "are there more than once": sorted(double),
    }
    if said := [f"{len(names)} utterances {what}: {first_of(names)}" for what, names in problems.items() if names]:
        files = sorted({str(batch.path) for batch in batches})
        raise UserError(
            f"{folder}: the parts of this decoding do not fit together, nothing is written:\n  "
            + "\n  ".join(said)
            + f"\nParts: {', '.join(files)}. Remove those that do not belong here, and decode again."
        )
    return {utt_id: places[utt_id] for utt_id in sorted(places)}


def _records(places: Mapping[str, tuple[Path, int]]) -> Iterator[dict[str, Any]]:
    """Read the lines one by one: n best hypotheses of a large set are larger than the memory."""
    with ExitStack() as stack:
        files: dict[Path, IO[bytes]] = {}
        for path, place in places.values():
            if path not in files:
                files[path] = stack.enter_context(open(path, "rb"))
            files[path].seek(place)
            yield json.loads(files[path].readline())


def _details(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a line of ``nbest.jsonl``; where the audio could not be read, nothing was recognised."""
    nothing = [{"text": "", "language": None, "score": 0.0}]
    return {"utt_id": record["utt_id"], "nbest": record.get("nbest", nothing)}
