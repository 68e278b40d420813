"""Does it work? ctc, upsampling, group DRO and CTC-DRO on a corpus made unequal on purpose, with equal audio seconds.

Six synthetic languages of 300 training clips, but Turkish has a tenth of the clips, Georgian is spoken into noise, and
Spanish has clips of twice the length. Step sizes are tuned on dev (worst-language CER, the paper's measure) with a seed
of their own; then each objective is trained with three other seeds and scored on test.

    python3 -O docs/benchmarks/mini_dro/run.py --out exp/mini_dro
    python3 -O docs/benchmarks/mini_dro/run.py --out exp/mini_dro_plenty --plenty --tuned exp/mini_dro/results.json

The second leaves Turkish all its clips and takes the options that the first has tuned.
A run that is killed goes on where it was. Results: ``<out>/results.json`` and a Markdown table on the terminal.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr_dro.config import compose_run, find_config, write_run_config
from asr_dro.corpora.mini import LanguagePlan, make_mini_corpus
from asr_dro.data.lengths import make_lengths, make_tokens
from asr_dro.data.prepare import Preparation, prepare
from asr_dro.decoding.decode import decode_sets
from asr_dro.errors import run_main
from asr_dro.experiment import EPOCHS, TRAIN_CONFIG
from asr_dro.fileio import read_json_lines, write_json
from asr_dro.scoring.stage import score_all
from asr_dro.training.run import train

logger = logging.getLogger("asr_dro.benchmarks.mini_dro")

LANGUAGES = ("bul", "fin", "hin", "kat", "spa", "tur")
SCARCE = "tur"
PLANS = {
    SCARCE: LanguagePlan(train=30),
    "kat": LanguagePlan(snr_db=5.0),
    "spa": LanguagePlan(mean_s=5.0, max_s=10.0),
}
NETWORK = "--encoder_conf channels=128 --encoder_conf blocks=6 --max_epoch 8 --use_tensorboard false"
GRID: dict[str, list[str]] = {
    "ctc": [""],
    "ctc_length_normalized": [""],
    "ctc_upsampled": [""],
    "group_dro": [f"--objective_conf step_size={step}" for step in ("1e-4", "1e-3", "1e-2")],
    "ctc_dro": [
        f"--objective_conf step_size={step} --objective_conf smoothing={alpha}"
        for step in ("1e-4", "1e-3")
        for alpha in ("0.1", "1.0")
    ],
}
# Beside the comparison: ctc_dro with step size 0, plain CTC on group-pure batches, tells batching from weighting.
ABLATION = {"equal weights": ("ctc_dro", "--objective_conf step_size=0")}
TUNING_SEED, SEEDS = 100, (1, 2, 3)
RESAMPLES = 2000


def prepare_data(out: Path, nj: int, *, plenty: bool) -> Path:
    """Make the unequal corpus and run stages 1 to 3."""
    plans = {code: plan for code, plan in PLANS.items() if not (plenty and code == SCARCE)}
    make_mini_corpus(out / "corpus", LANGUAGES, nj=nj, plans=plans)
    preparation = Preparation(
        corpus="mini", source=out / "corpus", codes=LANGUAGES, data_dir=out / "data", name="mini_unequal", nj=nj
    )
    prepare(preparation)
    make_tokens(out / "data" / "mini_unequal")
    make_lengths(out / "data" / "mini_unequal")
    return out / "data" / "mini_unequal"


def run_one(data_set: Path, experiment: Path, objective: str, options: str, seed: int) -> dict[str, Any]:
    """Train, decode and score one configuration, unless that is done; return the scores of dev and test."""
    config = compose_run("separable_conv", objective, seed=seed, train_args=f"{NETWORK} {options}")
    write_run_config(experiment / TRAIN_CONFIG, config)
    train(data_set, experiment, ngpu=0)
    decode_sets(data_set, experiment, find_config("decode", "greedy"), nj=1, ngpu=0)
    scored = {found.split: found.scores for found in score_all(data_set, experiment / "decode_greedy")}
    updates = read_json_lines(experiment / EPOCHS)[-1]["updates"]
    return {"experiment": str(experiment), "updates": updates, **scored}


def tune(data_set: Path, out: Path, wanted: list[str]) -> dict[str, tuple[str, str]]:
    """Pick options by the worst-language CER on dev; return (objective, options) for each wanted row of the table."""
    chosen = {}
    for objective, candidates in GRID.items():
        if objective not in wanted:
            continue
        if len(candidates) == 1:
            chosen[objective] = (objective, candidates[0])
            continue
        tried = []
        for number, options in enumerate(candidates):
            scores = run_one(data_set, out / f"tune_{objective}_{number}", objective, options, TUNING_SEED)
            worst = scores["dev"]["cer"]["worst"]
            logger.info("tuning %s %s: worst dev CER %.1f %%", objective, options, 100 * worst)
            tried.append((worst, options))
        chosen[objective] = (objective, min(tried)[1])
    return chosen | {name: row for name, row in ABLATION.items() if name in wanted}


def error_counts(experiment: Path) -> dict[str, NDArray[np.int64]]:
    """Return (errors, reference characters) of each test utterance, (N, 2), by language."""
    lines = (experiment / "decode_greedy" / "test" / "utterances.tsv").read_text(encoding="utf-8").split("\n")[:-1]
    columns = lines[0].split("\t")
    rows: dict[str, list[tuple[int, int]]] = {}
    for line in lines[1:]:
        row = dict(zip(columns, line.split("\t"), strict=True))
        errors = sum(int(row[f"char_{kind}"]) for kind in ("sub", "del", "ins"))
        rows.setdefault(row["language"], []).append((errors, int(row["ref_chars"])))
    return {language: np.array(pairs) for language, pairs in rows.items()}


def intervals(experiments: list[Path]) -> dict[str, tuple[float, float]]:
    """95 % bootstrap intervals over test utterances of the mean and worst CER, each averaged over seeds.

    The seeds of a row are resampled together (they share the utterances), so the interval is about the test set; the
    spread over seeds stands beside it.
    """
    counts = [error_counts(experiment) for experiment in experiments]
    generator = np.random.default_rng(0)
    draws: dict[str, list[float]] = {"mean": [], "worst": []}
    for _ in range(RESAMPLES):
        picks = {language: generator.integers(len(rows), size=len(rows)) for language, rows in counts[0].items()}
        rates = []
        for seed_counts in counts:
            sums = [seed_counts[language][picks[language]].sum(axis=0) for language in sorted(picks)]
            rates.append([errors / characters for errors, characters in sums])
        draws["mean"].append(float(np.mean(rates)))
        draws["worst"].append(float(np.mean(np.max(rates, axis=1))))
    return {name: (float(np.quantile(x, 0.025)), float(np.quantile(x, 0.975))) for name, x in draws.items()}


def summarise(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the figures of one row of the table."""
    cer = [run["test"]["cer"] for run in runs]
    row: dict[str, Any] = {"updates": runs[0]["updates"], "interval": intervals([Path(r["experiment"]) for r in runs])}
    for name in ("mean", "worst"):
        values = [scores[name] for scores in cer]
        row[name] = {"mean": statistics.mean(values), "sd": statistics.stdev(values), "by_seed": values}
    row["worst_language"] = [scores["worst_language"] for scores in cer]
    row["by_language"] = {g: statistics.mean(scores["by_language"][g] for scores in cer) for g in LANGUAGES}
    row["lid"] = statistics.mean(run["test"]["lid_accuracy"]["micro"] for run in runs)
    return row


def table(results: dict[str, Any]) -> str:
    """Return the results in Markdown."""
    head = [
        "objective",
        "options (tuned on dev)",
        "mean CER %",
        "95 %",
        "worst CER %",
        "95 %",
        "worst",
        *LANGUAGES,
        "LID %",
    ]
    lines = [" | ".join(["", *head, ""]).strip(), "|" + "---|" * len(head)]
    for name, row in results["rows"].items():
        cells = [name, row["options"].replace("--objective_conf ", "") or "-"]
        for measure in ("mean", "worst"):
            low, high = row["interval"][measure]
            cells.append(f"{100 * row[measure]['mean']:.1f} ± {100 * row[measure]['sd']:.1f}")
            cells.append(f"{100 * low:.1f}-{100 * high:.1f}")
        cells.append(" ".join(row["worst_language"]))
        cells += [f"{100 * row['by_language'][language]:.1f}" for language in LANGUAGES]
        cells.append(f"{100 * row['lid']:.0f}")
        lines.append(" | ".join(["", *cells, ""]).strip())
    return "\n".join(lines)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("exp/mini_dro"), help="folder of corpus, data and experiments")
    parser.add_argument("--nj", type=int, default=2, help="processes of the preparation")
    parser.add_argument("--plenty", action="store_true", help="no language has fewer clips than the others")
    parser.add_argument("--tuned", type=Path, help="results.json whose options to take instead of tuning")
    parser.add_argument("--rows", nargs="*", help="only these rows: for several processes; run once more without")
    arguments = parser.parse_args()
    data_set = prepare_data(arguments.out, arguments.nj, plenty=arguments.plenty)
    if arguments.tuned is not None:
        tuned = json.loads(arguments.tuned.read_text(encoding="utf-8"))["rows"]
        GRID.update({objective: [tuned[objective]["options"]] for objective in GRID})
    rows = {}
    for name, (objective, options) in tune(data_set, arguments.out, arguments.rows or [*GRID, *ABLATION]).items():
        stem = name.split(",")[0].replace(" ", "_")
        runs = [run_one(data_set, arguments.out / f"{stem}_s{seed}", objective, options, seed) for seed in SEEDS]
        rows[name] = {"options": options, **summarise(runs)}
        logger.info("%s: worst %.1f %%", name, 100 * rows[name]["worst"]["mean"])
    if arguments.rows:
        return
    write_json(arguments.out / "results.json", {"seeds": SEEDS, "tuning_seed": TUNING_SEED, "rows": rows})
    logger.info("\n%s", table(json.loads((arguments.out / "results.json").read_text(encoding="utf-8"))))


if __name__ == "__main__":
    run_main(main)
