"""What stage 6 costs: 143 languages with 1,000 utterances each, all numbers, all profiles, 10,000 bootstrap resamples.

    python3 -O docs/benchmarks/scoring.py

Writes ``scoring.json`` beside this file. On a busy machine (``load`` above ``processors``) the CPU seconds count, and
even they are more than on an idle one. The texts are random letters of 20 to 95 characters (mean 58, as in ML-SUPERB)
with random errors, a sixth of the characters on average; one speaker per ten utterances. Each round runs, in turn:

- ``stage``: the command of stage 6 in a process of its own, start-up, reading and writing included;
- ``computed``: the same numbers from texts that are in memory, without reading and writing;
- ``rapidfuzz``: nothing but its edit operations, counted by kind, for characters and words of the same pairs.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from asr_dro.data.data_dir import Utterance, read_data_dir, read_two_columns, write_sorted_data_dir  # noqa: E402
from asr_dro.data.languages import languages  # noqa: E402
from asr_dro.data.two_columns import write_two_columns  # noqa: E402

logger = logging.getLogger(__name__)

LETTERS = "abcdefghijklmnopqrstuvwxyz     "
UTTERANCES_PER_SPEAKER = 10
Times = dict[str, list[float]]


def write_set(root: Path, n_languages: int, n_utterances: int, seed: int = 1) -> tuple[Path, Path]:
    """Write a set and its hypotheses.

    Returns:
        Data directory of the set, and the experiment.
    """
    rng = random.Random(seed)
    benchmark = sorted(label for label, language in languages().items() if language.ml_superb)
    utterances, hypotheses = [], {}
    for language in benchmark[:n_languages]:
        for number in range(n_utterances):
            reference = " ".join("".join(rng.choices(LETTERS, k=rng.randrange(20, 96))).split()) or "a"
            rate = rng.random() * 0.4
            heard = (unit if rng.random() > 0.7 * rate else rng.choice(LETTERS) for unit in reference)
            text = " ".join("".join(unit for unit in heard if rng.random() > 0.15 * rate).split())
            speaker = f"{language}-{number // UTTERANCES_PER_SPEAKER:03}"
            name = f"{speaker}-{number:05}"
            corpus = ("commonvoice", "fleurs")[number % 2]
            utterances.append(Utterance(name, "x.flac", reference, speaker, language, language, 5.0, corpus))
            tag = language if rng.random() < 0.8 else rng.choice(benchmark)
            hypotheses[name] = f"[{tag}] {text}".rstrip()
    data, experiment = root / "data" / "many", root / "exp" / "run"
    write_sorted_data_dir(data / "test", sorted(utterances, key=lambda one: one.utt_id))
    (experiment / "decode_greedy" / "test").mkdir(parents=True)
    write_two_columns(experiment / "decode_greedy" / "test" / "text", hypotheses)
    return data, experiment


def run_stage(data: Path, experiment: Path) -> None:
    """Run stage 6 as a user does, from the start."""
    (experiment / "decode_greedy" / "test" / "scores.json").unlink(missing_ok=True)
    command = [sys.executable, "-m", "asr_dro.bin.score", "--data", str(data), "--exp", str(experiment)]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def computations(data: Path, experiment: Path) -> dict[str, Callable[[], object]]:
    """Return what is timed in this process, with all texts in memory."""
    from rapidfuzz.distance import Levenshtein

    from asr_dro.scoring.bootstrap import intervals_of_scores
    from asr_dro.scoring.hypotheses import split_language_tag
    from asr_dro.scoring.material import Material
    from asr_dro.scoring.profiles import PROFILES, rules_of, score_profiles
    from asr_dro.scoring.scores import score_utterances, summarise

    references = read_data_dir(data / "test")
    lines = read_two_columns(experiment / "decode_greedy" / "test" / "text")
    hypotheses = {name: split_language_tag(line) for name, line in lines.items()}
    scored = score_utterances(references, hypotheses)
    rules_of_all = rules_of(Material(scored, lines))
    pairs = [(one.reference, one.hypothesis.text) for one in scored]
    pairs_of_words = [(reference.split(), hypothesis.split()) for reference, hypothesis in pairs]

    def bare() -> None:
        for some in (pairs, pairs_of_words):
            for reference, hypothesis in some:
                tags = [tag for tag, _, _ in Levenshtein.editops(reference, hypothesis).as_list()]
                tags.count("replace"), tags.count("delete"), tags.count("insert")

    def all_of_it() -> None:
        again = score_utterances(references, hypotheses)
        summarise(again)
        rules = rules_of(Material(again, lines))
        intervals_of_scores(again, profiles=rules)
        {name: rule.score() for name, rule in rules.items()}

    found: dict[str, Callable[[], object]] = {
        "computed": all_of_it,
        "rapidfuzz": bare,
        "counting": lambda: score_utterances(references, hypotheses),
        "summary": lambda: summarise(scored),
        "intervals": lambda: intervals_of_scores(scored),
        "intervals of profiles too": lambda: intervals_of_scores(scored, profiles=rules_of_all),
    }
    return found | {
        f"profile {name}": (lambda name=name: score_profiles(Material(scored, lines), [name])) for name in PROFILES
    }


def measure(data: Path, experiment: Path, rounds: int) -> tuple[Times, Times]:
    """Return wall and CPU seconds of each step in each round."""
    steps: dict[str, Callable[[], object]] = {"stage": lambda: run_stage(data, experiment)}
    steps |= computations(data, experiment)
    wall: Times = {name: [] for name in steps}
    cpu: Times = {name: [] for name in steps}
    gc.disable()  # as stage 6 does
    for _ in range(rounds):
        for name, step in steps.items():
            before, start = os.times(), time.perf_counter()
            step()
            wall[name].append(time.perf_counter() - start)
            cpu[name].append(sum(os.times()[:4]) - sum(before[:4]))
    return wall, cpu


def main() -> None:
    """Write a set, measure, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--languages", type=int, default=143)
    parser.add_argument("--utterances", type=int, default=1000, help="of each language")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        data, experiment = write_set(Path(temporary), args.languages, args.utterances)
        wall, cpu = measure(data, experiment, args.rounds)
        size = (experiment / "decode_greedy" / "test" / "scores.json").stat().st_size
    figures = {
        "processors": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[1], 1),  # processes that wanted a processor in the last five minutes
        "languages": args.languages,
        "utterances": args.languages * args.utterances,
        "rounds": args.rounds,
        "wall_s": {name: round(statistics.median(values), 3) for name, values in wall.items()},
        "cpu_s": {name: round(statistics.median(values), 3) for name, values in cpu.items()},
        "least_wall_s": {name: round(min(values), 3) for name, values in wall.items()},
        "scores_json_bytes": size,
        "largest_process_mib": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024,
    }
    args.out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    logger.info("%s", json.dumps(figures, indent=1))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main()
