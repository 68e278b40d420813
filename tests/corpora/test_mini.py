"""The mini corpus: a release like a real one, with equal bytes for an equal seed whatever else is made."""

from __future__ import annotations

import csv
import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr_dro.corpora.mini import MARKER, LanguagePlan, check_languages, make_mini_corpus, unequal_plans
from asr_dro.corpora.release import ERAS, Era, ReleasedClip, write_tables
from asr_dro.data.text import normalize
from asr_dro.errors import UserError
from tests.corpora.releases import parts_of, rows_of

ROOT = Path(__file__).parents[2]
PLAN = LanguagePlan(train=8, dev=3, test=3, unused=2)
TABLES = ("train", "dev", "test", "invalidated", "other")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("mini") / "corpus"
    assert make_mini_corpus(out, ["kat", "spa"], plan=PLAN, nj=2) == ["kat", "spa"]
    return out


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def table(path: Path) -> Iterator[dict[str, str]]:
    header, *lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    for line in lines:
        yield dict(zip(header.split("\t"), line.split("\t"), strict=True))


def test_equal_seed_equal_bytes(corpus: Path, tmp_path: Path) -> None:
    for code in ("spa", "kat"):  # one at a time, in another order
        make_mini_corpus(tmp_path / "again", [code], plan=PLAN, nj=1)
    assert contents(tmp_path / "again") == contents(corpus)
    make_mini_corpus(tmp_path / "other", ["kat"], plan=PLAN, seed=2)
    ours, other = contents(corpus / "ka"), contents(tmp_path / "other/ka")
    assert ours.keys() == other.keys()
    assert ours["train.tsv"] != other["train.tsv"]


def test_killed_and_run_again(corpus: Path, tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from asr_dro.corpora.mini import LanguagePlan, make_mini_corpus
if __name__ == "__main__":
    make_mini_corpus(Path(sys.argv[1]), ["kat", "spa"], plan=LanguagePlan(8, 3, 3, 2), nj=1)
"""
    (tmp_path / "script.py").write_text(script)
    out = tmp_path / "corpus"
    run = subprocess.Popen(
        [sys.executable, str(tmp_path / "script.py"), str(out)], env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    while len(list(out.glob("*.tmp.*/clips/*.mp3"))) < 3:  # in the middle of the first or the second language
        assert run.poll() is None
        time.sleep(0.005)
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert [path for path in out.iterdir() if path.name in ("ka", "es")] == []
    assert make_mini_corpus(out, ["kat", "spa"], plan=PLAN, nj=2) == ["kat", "spa"]
    assert contents(out) == contents(corpus)


def test_finished_languages_are_left_alone(corpus: Path) -> None:
    before = {path: path.stat().st_ino for path in corpus.rglob("*")}
    assert make_mini_corpus(corpus, ["kat", "spa"], plan=PLAN) == []
    assert {path: path.stat().st_ino for path in corpus.rglob("*")} == before


def test_other_options_replace(tmp_path: Path) -> None:
    plans = [LanguagePlan(1, 1, 1, 0), LanguagePlan(2, 1, 1, 0)]
    for plan in plans:
        assert make_mini_corpus(tmp_path, ["spa"], plan=plan) == ["spa"]
    assert len(list((tmp_path / "es/clips").iterdir())) == 4


def test_tables(corpus: Path) -> None:
    for locale in ("ka", "es"):
        durations = {row["clip"]: int(row["duration[ms]"]) for row in table(corpus / locale / "clip_durations.tsv")}
        rows = {name: list(table(corpus / locale / f"{name}.tsv")) for name in TABLES}
        assert [len(rows[name]) for name in TABLES] == [8, 3, 3, 2, 2]
        assert " ".join(rows["train"][0]) == (
            "client_id path sentence_id sentence sentence_domain up_votes down_votes"
            " age gender accents variant locale segment"
        )
        assert list(table(corpus / locale / "validated.tsv")) == rows["train"] + rows["dev"] + rows["test"]
        clips = [row["path"] for name in TABLES for row in rows[name]]
        assert sorted(clips) == sorted(path.name for path in (corpus / locale / "clips").iterdir()) == sorted(durations)
        for name in TABLES:
            for row in rows[name]:
                assert len(row["client_id"]) == 128
                assert len(row["sentence_id"]) == 64
                assert row["locale"] == locale
                header = soundfile.info(corpus / locale / "clips" / row["path"])
                assert header.format == "MP3"
                assert header.samplerate in (32_000, 48_000)
                assert abs(header.duration - durations[row["path"]] / 1000) < 0.001
                assert 0.3 < header.duration <= 6.0
        with open(corpus / locale / "validated_sentences.tsv", encoding="utf-8", newline="") as file:
            quoted = [row["sentence"] for row in csv.DictReader(file, delimiter="\t")]
        assert quoted == [row["sentence"] for row in table(corpus / locale / "validated.tsv")]


def test_splits_share_neither_speakers_nor_sentences(corpus: Path) -> None:
    for part in parts_of(corpus, "kat", "spa"):
        speakers: dict[str, set[str]] = {}
        sentences: dict[str, set[str]] = {}
        for split in ("train", "dev", "test"):
            rows = rows_of(part, split)
            assert len(rows) == getattr(PLAN, split)
            speakers[split] = {row.speaker for row in rows}
            sentences[split] = {normalize(row.sentence, row.language) for row in rows}
            assert len(sentences[split]) == len(rows)
        for of_split in (speakers, sentences):
            assert not of_split["train"] & (of_split["dev"] | of_split["test"])
            assert not of_split["dev"] & of_split["test"]


@pytest.mark.parametrize("era", ERAS, ids=lambda era: era.name)
def test_the_same_rows_from_releases_of_every_era(corpus: Path, tmp_path: Path, era: Era) -> None:
    (part,) = parts_of(corpus, "spa")
    rows = {split: rows_of(part, split) for split in ("train", "dev", "test")}
    clips = [
        ReleasedClip(split, row.clip, row.sentence, row.speaker, round(1000 * (row.duration_s or 0)))
        for split, of_split in rows.items()
        for row in of_split
    ]
    (tmp_path / "es/clips").mkdir(parents=True)
    write_tables(tmp_path / "es", "es", clips, era=era)
    (again,) = parts_of(tmp_path, "spa")
    for split, of_split in rows.items():
        known = of_split if era.durations else [dataclasses.replace(row, duration_s=None) for row in of_split]
        assert rows_of(again, split) == known


def test_noise_and_length(corpus: Path, tmp_path: Path) -> None:
    plan = LanguagePlan(8, 1, 1, 0, mean_s=5.0, max_s=12.0, snr_db=10.0)
    make_mini_corpus(tmp_path, ["spa"], plans={"spa": plan})
    levels, lengths = [], []
    for folder in (corpus / "es/clips", tmp_path / "es/clips"):
        clips = [soundfile.read(path) for path in sorted(folder.iterdir())]
        lengths.append(np.mean([len(samples) / rate_hz for samples, rate_hz in clips]))
        quiet = [np.quantile(np.abs(samples), 0.1) / np.sqrt(np.mean(samples**2)) for samples, _ in clips]
        levels.append(np.mean(quiet))
        assert all(np.abs(samples).max() <= 1.0 for samples, _ in clips)
    assert lengths[1] > 1.5 * lengths[0]
    # The quietest tenth of |noise| of standard deviation s lies below 0.126 s, and s is 10 dB below the speech
    assert levels[0] < 0.01 < levels[1] < 0.126


def test_unequal_plans() -> None:
    plans = unequal_plans(["spa", "fin", "kat"], LanguagePlan(train=100))
    assert [plans[code].train for code in ("fin", "kat", "spa")] == [100, 50, 25]
    assert [plans[code].snr_db for code in ("fin", "kat", "spa")] == [None, 10.0, None]
    assert plans["spa"].mean_s == 2 * plans["fin"].mean_s


def test_impossible_languages_are_all_named() -> None:
    with pytest.raises(UserError, match=r"cannot be made for abk \(Abkhazian\), bre \(Breton\): .*Possible: .*\bfin\b"):
        check_languages(["abk", "bre", "fin"])


@pytest.mark.parametrize("wrong", [{"train": 0}, {"dev": 0}, {"unused": -1}, {"phrases": 9}])
def test_impossible_plans(wrong: dict[str, int]) -> None:
    with pytest.raises(UserError, match="at least 1 clip"):
        LanguagePlan(**wrong)


def test_impossible_lengths(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="need 1 <= mean < most"):
        LanguagePlan(mean_s=6.0)
    with pytest.raises(UserError, match="amh: 100 sentences in a row took under"):  # two phrases take longer
        make_mini_corpus(tmp_path, ["amh"], plan=LanguagePlan(30, 1, 1, 0, mean_s=1.0, max_s=1.01))
    with pytest.raises(UserError, match="--nj"):
        make_mini_corpus(Path("nowhere"), ["spa"], nj=0)


def test_a_real_release_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "es").mkdir()
    with pytest.raises(UserError, match="es exists and is not a mini corpus"):
        make_mini_corpus(tmp_path, ["spa"], plan=PLAN)
    assert list(tmp_path.iterdir()) == [tmp_path / "es"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system to fill")
def test_full_disk(tmp_path: Path) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(tmp_path)]
    mounted = subprocess.run(mount, capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"this machine does not let root mount: {mounted.stderr.decode().strip()}")
    try:
        with pytest.raises(OSError, match=r"No space left on device"):
            make_mini_corpus(tmp_path, ["spa"], plan=PLAN)
        assert [path.name for path in tmp_path.iterdir()] == [".lock"]
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_a_process_that_dies_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site/espeakng_loader.py").write_text("import os\nos._exit(3)\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site"), *sys.path])  # a fresh process inherits it
    with pytest.raises(OSError, match=r"making .*es failed"):
        make_mini_corpus(tmp_path / "out", ["spa"], plan=PLAN)
    assert not (tmp_path / "out/es" / MARKER).exists()
