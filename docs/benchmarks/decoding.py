"""What decoding costs: stage 5's greedy search against the bare encoder, and against ESPnet's own inference.

    python3 -O docs/benchmarks/decoding.py --data data/mini_mini6

The networks have random weights, the head's scaled so that posteriors are peaked as a trained network's:
separable_conv (conf/model), and conformer, ESPnet's own (4 layers, 144 wide, 80 mel bands). One thread; model loading
and imports are not counted.

(a) The whole of stage 5 on the test split (reading audio in this process, padding, search, text, part file) against the
    encoder alone on the same batches, already in memory. Each round runs both, in an order drawn anew.
(b) The same against ESPnet's Speech2Text, one utterance after the other, as its asr_inference has it, with the
    ML-SUPERB recipe's setting: CTC alone, beam 1, and without its log lines. The checkpoint is our pack of the same
    network. In each round stage 5 decodes the split, ESPnet some utterances drawn anew; what counts is the time for
    a second of audio. Both are measured with the set's own vocabulary and with one as large as many languages need.
"""

from __future__ import annotations

import argparse
import logging
import os
import platform
import random
import statistics
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from asr_dro.batching import Batch
from asr_dro.config import compose_run
from asr_dro.data.audio import decode as decode_audio
from asr_dro.data.tokens import TOKENS, read_token_list
from asr_dro.decoding.config import DecodeConfig
from asr_dro.decoding.inference import Recognizer, collate
from asr_dro.decoding.model_loading import build_model
from asr_dro.decoding.parts import open_part
from asr_dro.errors import run_main
from asr_dro.experiment import CHECKPOINTS, ESPNET_CONFIG, MODEL
from asr_dro.export.espnet_pack import write_pack
from asr_dro.fileio import write_json
from asr_dro.training import checkpoints
from asr_dro.training.batches import DrawSampler
from asr_dro.training.dataset import SpeechDataset
from asr_dro.training.utterances import UtteranceTable

logger = logging.getLogger("asr_dro.benchmarks.decoding")

NETWORKS: dict[str, dict[str, Any]] = {
    "separable_conv": {},
    "conformer": {
        "encoder": "conformer",
        "encoder_conf": {
            "output_size": 144, "attention_heads": 4, "linear_units": 576, "num_blocks": 4, "macaron_style": True,
            "use_cnn_module": True, "cnn_module_kernel": 15, "rel_pos_type": "latest", "dropout_rate": 0.1,
            "pos_enc_layer_type": "rel_pos", "selfattention_layer_type": "rel_selfattn", "normalize_before": True,
        },
        "frontend_conf": {"n_fft": 512, "win_length": 400, "hop_length": 160, "n_mels": 80},
        "normalize": "utterance_mvn",
    },
}  # fmt: skip
STOCK = "conformer"
SEARCH = {"beam_size": 1, "ctc_weight": 1.0, "lm_weight": 0.0, "nbest": 1}  # ML-SUPERB's decode_asr.yaml
Seconds = tuple[float, float]  # wall, CPU


def write_experiment(folder: Path, network: str, tokens: list[str]) -> dict[str, Any]:
    """Write an experiment with random weights; return ESPnet's arguments of it."""
    conf = {"objective": "ctc", "objective_conf": {}, "group_names": ["all"], "ctc_weight": 1.0}
    arguments = {
        "input_size": None, **compose_run("separable_conv", "ctc", seed=1), "model": "group_robust", "model_conf": conf,
        "token_list": tokens, **NETWORKS[network],
    }  # fmt: skip
    torch.manual_seed(0)
    model = build_model(arguments)
    with torch.no_grad():
        torch.nn.init.normal_(model.ctc.ctc_lo.weight, std=0.7)
        model.ctc.ctc_lo.bias.zero_()[0] = 20.0
    (folder / CHECKPOINTS).mkdir(parents=True)
    (folder / ESPNET_CONFIG).write_text(yaml.safe_dump(arguments, allow_unicode=True), encoding="utf-8")
    checkpoints.save(folder / CHECKPOINTS / MODEL, model.state_dict())
    return arguments


@contextmanager
def measured(into: list[Seconds]) -> Iterator[None]:
    """Append the seconds that the block takes."""
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    into.append((time.perf_counter() - wall, time.process_time() - cpu))


def stage_5(recognizer: Recognizer, split: str, batches: list[Batch], part_path: Path) -> int:
    """Decode batches as stage 5 does; return how many characters were recognised."""
    characters = 0
    with open_part(part_path, "benchmark") as part:
        for number, records in enumerate(recognizer.decode(split, batches)):
            part.add(number, records, audio_s=0.0, seconds=0.0, device="cpu")
            characters += sum(len(record["text"]) for record in records)
    part_path.unlink()
    return characters


def against_the_encoder(recognizer: Recognizer, data_set: Path, folder: Path, rounds: int) -> dict[str, Any]:
    """Measure (a)."""
    table = UtteranceTable.read(data_set, "test")
    batches = table.evaluation_batches(recognizer.config.seconds_per_batch)
    dataset = SpeechDataset.read(data_set / "test", table)
    loaded = [collate([dataset[draw] for draw in draws]) for draws in DrawSampler(batches)]
    peaks: list[Tensor] = []

    @torch.no_grad()
    def bare() -> None:
        for batch in loaded:
            recognizer.model.encode(batch.speech, batch.lengths)

    with torch.no_grad():
        for batch in loaded:
            logits, lengths = recognizer.model.ctc_logits(batch.speech, batch.lengths)
            peaks += [row[:n].softmax(-1).amax(-1) for row, n in zip(logits, lengths.tolist(), strict=True)]
    characters = stage_5(recognizer, "test", batches, folder / "part")
    seconds = in_turn({"bare": bare, "whole": lambda: stage_5(recognizer, "test", batches, folder / "part")}, rounds)
    audio_s = float(table.durations_s.sum())
    return {
        "utterances": len(dataset),
        "audio s": round(audio_s, 1),
        "batches": len(batches),
        "padded audio / audio": round(sum(float(b.speech.numel()) for b in loaded) / 16_000 / audio_s, 3),
        "tokens in the vocabulary": len(recognizer.token_list),
        "characters recognised per s of audio": round(characters / audio_s, 1),
        "mean of the frames' highest posterior": round(float(torch.cat(peaks).mean()), 3),
        "stage 5 / bare encoder": ratios(seconds, "whole", "bare"),
        "real-time factor of stage 5, CPU s": significant(statistics.median(s[1] for s in seconds["whole"]) / audio_s),
    }


def against_espnet(
    recognizer: Recognizer, arguments: dict[str, Any], data_set: Path, folder: Path, rounds: int, count: int
) -> dict[str, Any]:
    """Measure (b) on ``count`` utterances a round."""
    from espnet2.bin.asr_inference import Speech2Text

    write_pack(folder / "pack.zip", arguments, recognizer.model, "")
    with zipfile.ZipFile(folder / "pack.zip") as archive:
        archive.extractall(folder / "pack")
    files = {"asr_train_config": folder / "pack/exp/config.yaml", "asr_model_file": folder / "pack/exp/model.pth"}
    theirs = Speech2Text(**files, **SEARCH)
    logging.getLogger().setLevel(logging.WARNING)  # ESPnet logs a dozen lines an utterance
    logger.setLevel(logging.INFO)
    table = UtteranceTable.read(data_set, "test")
    paths = SpeechDataset.read(data_set / "test", table).paths
    batches = table.evaluation_batches(recognizer.config.seconds_per_batch)
    order = random.Random(0)
    both: dict[str, list[Seconds]] = {"espnet": [], "stage 5": []}
    for number in range(rounds + 1):
        chosen = order.sample(range(len(paths)), count)

        def one_by_one(chosen: list[int] = chosen) -> None:
            for position in chosen:
                theirs(decode_audio(Path(paths[position]).read_bytes()))

        calls: dict[str, Callable[[], object]] = {
            "espnet": one_by_one,
            "stage 5": lambda: stage_5(recognizer, "test", batches, folder / "part"),
        }
        audio_s = {"espnet": float(table.durations_s[chosen].sum()), "stage 5": float(table.durations_s.sum())}
        for name, ((wall, cpu),) in in_turn(calls, 1, warm_up=0).items():
            both[name] += [(wall / audio_s[name], cpu / audio_s[name])] if number else []
    return {
        "utterances a round, espnet": count,
        "espnet / stage 5, per second of audio": ratios(both, "espnet", "stage 5"),
        "real-time factor, CPU s": {
            name: significant(statistics.median(cpu for _, cpu in spent)) for name, spent in both.items()
        },
    }


def in_turn(calls: dict[str, Callable[[], object]], rounds: int, warm_up: int = 1) -> dict[str, list[Seconds]]:
    """Run all calls in each round, in an order drawn anew."""
    order = random.Random(1)
    spent: dict[str, list[Seconds]] = {name: [] for name in calls}
    for number in range(rounds + warm_up):
        for name in order.sample(list(calls), len(calls)):
            with measured(spent[name] if number >= warm_up else []):
                calls[name]()
    return spent


def ratios(seconds: dict[str, list[Seconds]], first: str, second: str) -> dict[str, Any]:
    """Return how many times as long the first takes, round by round: the median, the lowest and the highest."""
    found = {}
    for place, kind in enumerate(("wall", "CPU")):
        pairs = [a[place] / b[place] for a, b in zip(seconds[first], seconds[second], strict=True)]
        found[kind] = {
            "median": significant(statistics.median(pairs)),
            "range": [significant(min(pairs)), significant(max(pairs))],
        }
    return {**found, "pairs": len(seconds[first])}


def significant(value: float) -> float:
    """Round to three digits."""
    return float(f"{value:.3g}")


def main() -> None:
    """Measure and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data/mini_mini6"), help="prepared set (stages 1 to 3)")
    parser.add_argument("--rounds", type=int, default=7, help="counted rounds")
    parser.add_argument("--utterances", type=int, default=12, help="utterances in a round against ESPnet")
    parser.add_argument("--tokens", type=int, default=6000, help="size of a large vocabulary, most of it made up")
    parser.add_argument("--seconds-per-batch", type=float, default=60.0, help="audio in a batch, padding counted")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"), help="file of the figures")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    figures: dict[str, Any] = {"seconds per batch": arguments.seconds_per_batch}
    few = read_token_list(arguments.data / TOKENS)
    many = [*few[:-1], *(chr(0xE000 + number) for number in range(arguments.tokens - len(few))), few[-1]]
    for network, tokens in (*((network, few) for network in NETWORKS), (STOCK, many)):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            espnet_arguments = write_experiment(folder / "exp", network, tokens)
            config = DecodeConfig("greedy", seconds_per_batch=arguments.seconds_per_batch)
            recognizer = Recognizer(arguments.data, folder / "exp", config)
            found = against_the_encoder(recognizer, arguments.data, folder, arguments.rounds)
            found["parameters"] = sum(parameter.numel() for parameter in recognizer.model.parameters())
            if network == STOCK:
                sizes = (arguments.rounds, arguments.utterances)
                found |= against_espnet(recognizer, espnet_arguments, arguments.data, folder, *sizes)
            figures[f"{network}, {len(tokens)} tokens"] = found
            logger.info("%s: %s", network, found)
    machine = {"cpu": platform.processor() or platform.machine(), "torch": torch.__version__, "threads": 1}
    figures["machine"] = {**machine, "load": round(os.getloadavg()[0], 1)}
    write_json(arguments.out, figures)
    logger.info("%s", arguments.out)


if __name__ == "__main__":
    run_main(main)
