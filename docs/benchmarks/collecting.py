"""How long does it take to collect the scores of 500 experiments with 143 languages each?

Writes the experiments (score files with intervals, profiles and confusions of the size that stage 6 writes, logs of 40
epochs), then runs the command as a user does, start-up included, and says how the time is spent.

    python3 docs/benchmarks/collecting.py [--experiments 500] [--out figures.json]
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from asr_dro.fileio import write_json

ROOT = Path(__file__).resolve().parents[2]
N_LANGUAGES = 143
N_EPOCHS = 40
OBJECTIVES = ("ctc", "group_dro", "ctc_dro")
COMMANDS: dict[str, list[str]] = {
    "table": [],
    "pooled_seeds": ["--pool-seeds"],
    "best_on_dev": ["--best-on-dev", "--pool-seeds"],
    "all_formats": ["--tsv", "s.tsv", "--markdown", "s.md", "--latex", "s.tex", "--json", "s.json", "--html", "s.html"],
}

logger = logging.getLogger("collecting")


def main() -> None:
    """Measure, and write the figures."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, default=500)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        exp = Path(folder) / "exp"
        for index in range(arguments.experiments):
            write_experiment(exp, index)
        files = [path for path in exp.rglob("*") if path.is_file()]
        figures: dict[str, Any] = {
            "experiments": arguments.experiments,
            "languages": N_LANGUAGES,
            "megabytes": round(sum(path.stat().st_size for path in files) / 1e6, 1),
            "score_file_kilobytes": round((exp / tag(0) / "decode_greedy/test/scores.json").stat().st_size / 1e3, 1),
            "seconds": {},
        }
        for name, options in COMMANDS.items():
            times = [run(Path(folder), options) for _ in range(arguments.repetitions)]
            figures["seconds"][name] = {
                kind: round(statistics.median(one[kind] for one in times), 2) for kind in ("wall", "cpu")
            }
            logger.info("%s: %s", name, figures["seconds"][name])
    write_json(arguments.out, figures)


def run(folder: Path, options: list[str]) -> dict[str, float]:
    """Run the command once: seconds on the clock and of the processor."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    command = [sys.executable, "-m", "asr_dro.bin.collect", *options]
    subprocess.run(command, cwd=folder, env={"PYTHONPATH": str(ROOT)}, check=True, capture_output=True)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {"wall": wall, "cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime}


def tag(index: int) -> str:
    """Name an experiment."""
    return f"xlsr_{OBJECTIVES[index % 3]}_all143_1h_lr{index // 9 % 4}_s{index // 3 % 3}_{index}"


def write_experiment(exp: Path, index: int) -> None:
    """Write what stages 4 to 6 leave of one experiment, as far as its size matters."""
    rng = random.Random(index)
    folder = exp / tag(index)
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "model.pt").touch()
    objective = OBJECTIVES[index % 3]
    (folder / "train.yaml").write_text(
        f"# From conf/model/xlsr.yaml, conf/objective/{objective}.yaml and --train-args.\n"
        "encoder: wav2vec2\nencoder_conf:\n"
        + "".join(f"  option_{number}: {number}\n" for number in range(20))
        + f"optim: adamw\noptim_conf:\n  lr: {10 ** -(2 + index // 9 % 4)}\n"
        f"objective: {objective}\nmax_epoch: {N_EPOCHS}\nseed: {index // 3 % 3}\n"
    )
    inputs = {"data_set": "data/ml_superb_all143_1h", "fingerprint": "0" * 32}
    (folder / "checkpoints" / "inputs.json").write_text(json.dumps(inputs))
    languages = [f"l{number:02d}" for number in range(N_LANGUAGES)]
    environment = {"commit": "0" * 40, "device": "cuda", "processes": 4, "audio_s": dict.fromkeys(languages, 3600.0)}
    (folder / "environment.json").write_text(json.dumps(environment))
    lines = []
    for epoch in range(1, N_EPOCHS + 1):
        by_language = {name: rng.random() for name in languages}
        dev = {
            "loss_by_group": by_language,
            "cer": {"by_language": by_language},
            "lid_error": {"by_language": by_language},
        }
        train = {"loss": 1.0, "loss_by_group": by_language}
        lines.append(json.dumps({"epoch": epoch, "seconds": 1000.0, "train": train, "dev": dev}) + "\n")
    (folder / "train.jsonl").write_text("".join(lines))
    for split in ("dev", "test"):
        write_scores(folder / "decode_greedy" / split, languages, rng)


def write_scores(folder: Path, languages: list[str], rng: random.Random) -> None:
    """Write ``scores.json`` with all that stage 6 writes by language, indented as there."""
    folder.mkdir(parents=True)
    (folder / "text").touch()
    rates = {name: rng.random() for name in languages}
    bounds = {name: [rate - 0.01, rate + 0.01] for name, rate in rates.items()}
    worst = max(rates, key=rates.__getitem__)
    summary = {"mean": statistics.fmean(rates.values()), "sd": 0.2, "worst": rates[worst], "worst_language": worst}
    summary |= {"worst15": 0.9, "micro": 0.5, "by_language": rates}
    errors = {"reference_length": 50_000, "substitutions": 900, "deletions": 300, "insertions": 100}
    counts = {name: {"n_utterances": 1000, "cer": errors, "wer": errors, "n_language_right": 900} for name in languages}
    intervals = {
        rate: {"mean": [0.4, 0.6], "worst": [0.8, 1.0], "by_language": bounds} for rate in ("cer", "wer", "lid")
    }
    scores = {
        "cer": summary,
        "wer": summary,
        "lid_accuracy": {"micro": 0.9, "by_language": rates},
        "n_utterances": 143_000,
        "counts": {"by_language": counts, "by_language_and_corpus": counts},
        "confusion": {name: dict(rng.sample(list(rates.items()), 10)) for name in languages},
        "profiles": {
            name: {"by_language": rates} for name in ("ml_superb", "ml_superb2", "challenge2025", "wer_basic")
        },
        "intervals": intervals,
    }
    write_json(folder / "scores.json", scores)


if __name__ == "__main__":
    main()
