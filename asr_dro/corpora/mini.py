"""The mini corpus: a small Common Voice release, spoken by eSpeak NG from CLDR phrases, equal bytes for an equal seed.

Each language is made by a process of its own (see :class:`asr_dro.corpora.espeak.Synthesizer`), so neither the number
of processes nor the other languages change a byte of it.
"""

from __future__ import annotations

import dataclasses
import logging
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asr_dro.data.done import is_made_from
from asr_dro.data.languages import Language, languages
from asr_dro.data.processes import SPAWN, exclusive, worker_pool
from asr_dro.errors import UserError

logger = logging.getLogger(__name__)

MARKER = ".made.json"
_GENERATOR = 1  # raise it when equal options give other bytes


@dataclass(frozen=True)
class LanguagePlan:
    """What to make for one language.

    Args:
        train: Number of training clips.
        dev: Number of development clips.
        test: Number of test clips.
        unused: Number of clips in each of ``invalidated.tsv`` and ``other.tsv``.
        phrases: Number of different phrases that all sentences are made of.
        mean_s: Mean length aimed at, in seconds.
        max_s: Length that no clip exceeds, in seconds.
        snr_db: Level of the speech over added noise; None adds none.
    """

    train: int = 300
    dev: int = 40
    test: int = 40
    unused: int = 4
    phrases: int = 150
    mean_s: float = 2.5
    max_s: float = 6.0
    snr_db: float | None = None

    def __post_init__(self) -> None:
        if min(self.train, self.dev, self.test, self.unused + 1, self.phrases - 9) < 1:
            raise UserError("the mini corpus needs at least 1 clip in train, dev and test, and 10 phrases")
        if not 1.0 <= self.mean_s < self.max_s:
            raise UserError(f"clips of {self.mean_s} s on average and {self.max_s} s at most: need 1 <= mean < most")

    @property
    def clips(self) -> int:
        """Number of clips in all tables."""
        return self.train + self.dev + self.test + 2 * self.unused


def unequal_plans(codes: Sequence[str], plan: LanguagePlan) -> dict[str, LanguagePlan]:
    """Make languages unequal on purpose: a third each with all clips, half of them in noise, a quarter of long ones."""
    variants = (
        plan,
        dataclasses.replace(plan, train=max(1, plan.train // 2), snr_db=10.0),
        dataclasses.replace(plan, train=max(1, plan.train // 4), mean_s=2 * plan.mean_s, max_s=2 * plan.max_s),
    )
    return {code: variants[index % len(variants)] for index, code in enumerate(sorted(codes))}


def check_languages(codes: Sequence[str]) -> list[Language]:
    """Return the languages of ``codes``.

    Raises:
        UserError: If one of them cannot be spoken; the message lists those that can.
    """
    impossible = [languages()[code] for code in codes if not languages()[code].can_be_spoken]
    if impossible:
        possible = [code for code, language in languages().items() if language.can_be_spoken]
        raise UserError(
            "the mini corpus cannot be made for "
            + ", ".join(f"{language.label} ({language.name})" for language in impossible)
            + ": eSpeak NG has no voice or CLDR no text. Possible: "
            + " ".join(possible)
        )
    return [languages()[code] for code in codes]


def _marker(seed: int, plan: LanguagePlan) -> dict[str, Any]:
    return {"generator": _GENERATOR, "seed": seed, "plan": dataclasses.asdict(plan)}


def _unfinished(out: Path, wanted: Sequence[Language], plans: Mapping[str, LanguagePlan], seed: int) -> list[Language]:
    missing = []
    for language in wanted:
        folder = out / language.folder_names[0]
        if folder.exists() and not (folder / MARKER).exists():
            raise UserError(f"{folder} exists and is not a mini corpus; give another folder (MINI in db.sh)")
        if not is_made_from(folder / MARKER, _marker(seed, plans[language.label])):
            if folder.exists():
                logger.info("%s was made with other options: it will be replaced", folder)
            missing.append(language)
    return missing


def make_mini_corpus(
    out: Path,
    codes: Sequence[str],
    *,
    seed: int = 1,
    nj: int = 1,
    plan: LanguagePlan | None = None,
    plans: Mapping[str, LanguagePlan] | None = None,
) -> list[str]:
    """Write a Common Voice release; a language that is finished with the same options is left alone.

    Args:
        out: Folder of the release; holds a folder for each locale.
        codes: ISO 639-3 codes.
        seed: Seed of every choice; equal seeds give equal bytes.
        nj: Number of processes.
        plan: What to make for each language.
        plans: What to make for single languages instead, by ISO 639-3 code.

    Returns:
        ISO 639-3 codes of the languages made now.

    Raises:
        UserError: If a language cannot be spoken or a folder in the way was not made here.
        OSError: If the disk is full or a process died.
    """
    if nj < 1:
        raise UserError(f"--nj must be at least 1, not {nj}")
    plans = {code: plan or LanguagePlan() for code in codes} | dict(plans or {})
    wanted = check_languages(codes)
    if not _unfinished(out, wanted, plans, seed):
        return []
    with exclusive(out):
        for stale in out.glob("*.tmp.*"):  # the lock is ours, so nobody is writing it
            shutil.rmtree(stale, ignore_errors=True)
        missing = _unfinished(out, wanted, plans, seed)
        jobs = [
            (out / language.folder_names[0], language, plans[language.label], seed)
            for language in sorted(missing, key=lambda language: -plans[language.label].clips)
        ]
        _make_all(jobs, nj, sum(plans[language.label].clips for language in missing))
    return [language.label for language in missing]


Job = tuple[Path, Language, LanguagePlan, int]


def _make_all(jobs: Sequence[Job], nj: int, total_clips: int) -> None:
    from tqdm import tqdm  # needed only when there is work
    from tqdm.contrib.logging import logging_redirect_tqdm

    counter, stop = SPAWN.Value("l", 0), SPAWN.Event()
    bar = tqdm(total=total_clips, unit="clip", disable=None)
    with ThreadPoolExecutor(nj) as threads, bar, logging_redirect_tqdm():
        waiting: set[Future[None]] = {threads.submit(_make_in_fresh_process, job, counter, stop) for job in jobs}
        try:
            while waiting:
                done, waiting = wait(waiting, timeout=0.2, return_when=FIRST_EXCEPTION)
                bar.update(counter.value - bar.n)
                for future in done:
                    future.result()
        except BaseException:
            stop.set()
            threads.shutdown(wait=False, cancel_futures=True)
            raise


def _make_in_fresh_process(job: Job, counter: Any, stop: Any) -> None:
    if stop.is_set():
        return
    from asr_dro.corpora.mini_language import make_language, share  # numpy and soxr

    pool: ProcessPoolExecutor = worker_pool(1, share, (counter, stop))
    with pool:
        try:
            pool.submit(make_language, *job, _marker(job[3], job[2])).result()
        except RuntimeError as error:  # BrokenProcessPool is one
            raise OSError(f"making {job[0]} failed: {error}") from error
    logger.info("%s: %d clips", job[0], job[2].clips)
