"""A made-up experiment with everything that stages 1 to 5 leave behind, in many scripts and without any training."""

from __future__ import annotations

import json
import math
import random
import wave
from dataclasses import dataclass
from pathlib import Path

from asr_dro.data.data_dir import Utterance, write_data_dir, write_two_columns
from asr_dro.data.languages import languages as known_languages
from asr_dro.objectives import ctc_dro_fixed_point

SENTENCES = {
    "ara": "يسكن الناس في بيوت صغيرة قرب البحر",
    "bul": "Хората живеят в малки къщи край морето",
    "cmn": "人们住在海边的小房子里每天早上看日出",
    "fin": "Ihmiset asuvat pienissä taloissa meren lähellä",
    "heb": "אנשים גרים בבתים קטנים ליד הים",
    "hin": "लोग समुद्र के पास छोटे घरों में रहते हैं",
    "kat": "ხალხი ზღვის პირას პატარა სახლებში ცხოვრობს",
    "spa": "La gente vive en casas pequeñas cerca del mar",
    "tha": "ผู้คนอาศัยอยู่ในบ้านหลังเล็กใกล้ทะเล",
    "tur": "İnsanlar deniz kenarında küçük evlerde yaşıyor",
    "vie": "Mọi người sống trong những ngôi nhà nhỏ gần biển",
}
MINI = ("bul", "fin", "hin", "kat", "spa", "tur")
HOSTILE_TEXT = (
    '</script><script>window.hacked = 1</script> "><img src=x onerror="window.hacked = 1"> & {{ 7 * 7 }} ' + 300 * "w"
)


@dataclass(frozen=True)
class Experiment:
    """Where it lies."""

    data: Path
    exp: Path


def many_languages(n_languages: int) -> list[str]:
    """Return codes of the language table, the ones with sentences first."""
    codes = [*SENTENCES, *(code for code in known_languages() if code not in SENTENCES)]
    return sorted(codes[:n_languages])


def write_experiment(
    root: Path,
    languages: tuple[str, ...] | list[str] = MINI,
    *,
    n_utterances: int = 12,
    n_epochs: int = 12,
    n_updates: int = 300,
    hostile: bool = False,
) -> Experiment:
    """Write a prepared set and an experiment folder with hypotheses.

    Args:
        root: Where ``data/`` and ``exp/`` go.
        languages: Codes; sentences of unknown ones are borrowed from the others.
        n_utterances: Of each language and split; three times as many for training.
        n_epochs: Lines of ``train.jsonl``.
        n_updates: Lines of ``groups.jsonl``.
        hostile: Put HTML into a transcript, a hypothesis, an id and the configuration.
    """
    rng = random.Random(1)
    made = Experiment(root / "data" / "mini_set", root / "exp" / "separable_conv_ctc_dro_mini6_s1")
    error = {
        code: 0.02 + 0.4 * (rank / max(len(languages) - 1, 1)) ** 2 for rank, code in enumerate(_shuffled(languages))
    }
    for split in ("train", "dev", "test"):
        _write_split(made, split, error, n_utterances * (3 if split == "train" else 1), rng, hostile)
    rows = ["language\tsplit\tclip\treason"]
    rows += [f"{code}\ttrain\tclip_{index}.mp3\tcannot be decoded" for index, code in enumerate(languages[:5])]
    rows += [f"{languages[0]}\ttest\tclip_9.mp3\tthe sentence is empty after normalisation"]
    (made.data / "quarantine.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    _write_configuration(made.exp, hostile)
    _write_logs(made.exp, error, rng, n_epochs, n_updates)
    return made


def _shuffled(languages: tuple[str, ...] | list[str]) -> list[str]:
    return random.Random(7).sample(list(languages), len(languages))


def _write_split(
    made: Experiment, split: str, error: dict[str, float], n_utterances: int, rng: random.Random, hostile: bool
) -> None:
    utterances, hypotheses = [], {}
    amount = {code: 100 ** random.Random(code).random() / 10 for code in error}  # some languages have far more audio
    for code in sorted(error):
        sentence = SENTENCES.get(code) or SENTENCES[sorted(SENTENCES)[sum(map(ord, code)) % len(SENTENCES)]]
        for index in range(n_utterances):
            speaker = f"{code}-{index % 5:016x}"
            utt = f"{speaker}-clip_{index:04d}"
            words = sentence.split()
            text = " ".join(words[index % 3 :] + words[: index % 3])
            if hostile and code == min(error) and index == 0:
                text = HOSTILE_TEXT
            tag = code if rng.random() > error[code] else rng.choice([*error, "xxx", ""])
            recognised = _corrupt(text, error[code] * rng.choice([0, 1, 2]), rng)
            audio = made.data.parent / "audio dir" / code / f"{utt}.flac"
            if split == "test" and index < 3:
                _write_tone(audio)
            seconds = 2 + len(text) / 12
            if split == "train":
                seconds *= amount[code]
            utterances.append(Utterance(utt, str(audio), text, speaker, code, code, seconds))
            hypotheses[utt] = f"[{tag}] {recognised}" if tag else recognised
    write_data_dir(made.data / split, utterances)
    if split != "train":
        write_two_columns(made.exp / "decode_greedy" / split / "text", hypotheses)


def _corrupt(text: str, rate: float, rng: random.Random) -> str:
    """Delete, replace and insert characters."""
    alphabet = sorted(set(text) - {" "}) or ["a"]
    result = []
    for character in text:
        if rng.random() > rate:
            result.append(character)
            continue
        kind = rng.choice(["delete", "replace", "insert"])
        result.append({"delete": "", "replace": rng.choice(alphabet), "insert": character + rng.choice(alphabet)}[kind])
    return "".join(result)


def _write_tone(path: Path) -> None:
    """Write a fifth of a second of a tone (as WAV, whatever the name says: browsers look at the content)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = (int(8000 * math.sin(2 * math.pi * 440 * n / 16000)) for n in range(3200))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(b"".join(sample.to_bytes(2, "little", signed=True) for sample in samples))


def _write_configuration(exp: Path, hostile: bool) -> None:
    config = (
        "encoder: separable_conv\nobjective: ctc_dro\nobjective_conf:\n  smoothing: 0.5\n  step_size: 1e-4\nseed: 1\n"
    )
    config += "# </pre><script>window.hacked = 1</script>\n" if hostile else ""
    (exp / "train.yaml").write_text(config, encoding="utf-8")
    environment = {
        "command": "./run.sh --objective ctc_dro --lang-set mini6 --seed 1",
        "commit": "0123456789abcdef0123456789abcdef01234567",
        "dirty": True,
        "created": "2025-03-01T12:00:00+00:00",
        "versions": {"python": "3.11.7", "torch": "2.8.0", "espnet": "202511"},
        "host": {"cpu": "Some CPU 3000", "cores": 2, "memory_gb": 16.3, "gpu": None},
    }
    (exp / "environment.json").write_text(json.dumps(environment), encoding="utf-8")


def _write_logs(exp: Path, error: dict[str, float], rng: random.Random, n_epochs: int, n_updates: int) -> None:
    with open(exp / "train.jsonl", "w", encoding="utf-8") as file:
        for epoch in range(1, n_epochs + 1):
            file.write(json.dumps(_epoch(epoch, n_epochs, error, rng)) + "\n")
    losses = {code: 30 + 120 * rate for code, rate in error.items()}
    goal = dict(zip(losses, ctc_dro_fixed_point(list(losses.values()), 0.5), strict=True))
    with open(exp / "groups.jsonl", "w", encoding="utf-8") as file:
        for update in range(1, n_updates + 1):
            done = 1 - math.exp(-update / (0.3 * n_updates))
            q = {code: (1 - done) / len(error) + done * goal[code] for code in error}
            loss = {
                code: losses[code] * (1 + 8 * math.exp(-update / (0.1 * n_updates))) * rng.uniform(0.8, 1.2)
                for code in error
            }
            file.write(
                json.dumps({"update": update, "q": q, "loss": loss, "visits": dict.fromkeys(error, update)}) + "\n"
            )


def _epoch(epoch: int, n_epochs: int, error: dict[str, float], rng: random.Random) -> dict[str, object]:
    rates = {code: min(1.0, rate + math.exp(-epoch / 2.5) * rng.uniform(0.9, 1.1)) for code, rate in error.items()}
    worst = max(rates, key=rates.__getitem__)
    cer = {
        "mean": sum(rates.values()) / len(rates),
        "worst": rates[worst],
        "worst_language": worst,
        "by_language": rates,
    }
    return {
        "epoch": epoch,
        "updates": 40 * epoch,
        "lr": 2e-3 * (1 - epoch / (n_epochs + 1)),
        "seconds": 14.2,
        "audio_s_per_s": 410.0,
        "padding": 0.03,
        "nonfinite_steps": 0,
        "infeasible_utterances": 2,
        "train": {"loss": 350 * math.exp(-epoch / 2) + 18, "loss_by_group": {}},
        "dev": {"loss": None if epoch == 3 else 340 * math.exp(-epoch / 2.2) + 26, "loss_by_group": {}, "cer": cer},
    }
