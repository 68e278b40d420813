"""Two systems compared, as a user calls it: single trainings and groups of seeds."""

from __future__ import annotations

import csv
import io
import json
import random
from dataclasses import asdict
from pathlib import Path

import pytest

from asr_dro.bin.collect import main
from asr_dro.errors import UserError
from asr_dro.scoring.seeds_comparison import compare_seeds
from tests.collecting.experiments import CER, write_scored, write_utterances


@pytest.fixture
def exp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with two scored runs, and go to its parent."""
    monkeypatch.chdir(tmp_path)
    folder = Path("exp")
    write_scored(folder / "plain_s1", CER)
    write_scored(folder / "robust_s1", {**CER, "hin": 0.25}, objective="ctc_dro")
    return folder


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    main(list(arguments))
    return capsys.readouterr().out


def test_a_system_against_itself_differs_by_nothing(exp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    split = write_utterances(exp / "plain_s1/decode_greedy/test", {"fin": [1, 2, 3], "kat": [4, 5, 6]})
    found = json.loads(printed(capsys, "--compare", "plain_s1", str(split), "--json", "-"))
    for one in [*found["over_languages"].values(), *found["by_language"].values()]:
        assert (one["difference"], one["interval"], one["p"]) == (0.0, [0.0, 0.0], 1.0)


def test_differences_of_two_systems(exp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = random.Random(3)
    errors = {"fin": [rng.randrange(3) for _ in range(60)], "kat": [rng.randrange(2, 6) for _ in range(60)]}
    better = {"fin": errors["fin"], "kat": [n - 2 for n in errors["kat"]]}
    write_utterances(exp / "plain_s1/decode_greedy/test", errors)
    write_utterances(exp / "robust_s1/decode_greedy/test", better)
    lines = printed(capsys, "--compare", "plain_s1", "robust_s1").splitlines()
    (kat,) = [line.split() for line in lines if line.split()[:1] == ["kat"]]
    assert kat[3] == "−20.0"
    assert (kat[4:7], kat[-1]) == (["−20.0", "to", "−20.0"], "*")
    order = [line.split()[0] for line in lines if line.split()[:1] in (["kat"], ["fin"])]
    assert order == ["fin", "kat"]  # the greatest loss first
    assert any(line.startswith("  worst language: kat in A, kat in B") for line in lines)
    assert not any("worst 15" in line for line in lines), "they would be all languages"
    table = list(
        csv.DictReader(io.StringIO(printed(capsys, "--compare", "plain_s1", "robust_s1", "--tsv", "-")), delimiter="\t")
    )
    assert {row["name"] for row in table if row["kind"] == "language"} == {"fin", "kat"}
    for name in ("markdown", "latex", "html"):
        assert "20.0" in printed(capsys, "--compare", "plain_s1", "robust_s1", f"--{name}", "-")


@pytest.fixture
def seeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with three seeds of a system, two of a better one and one of a third."""
    monkeypatch.chdir(tmp_path)
    rng = random.Random(1)
    for name, n_seeds, most in (("plain", 3, 8), ("robust", 2, 4), ("alone", 1, 4)):
        for seed in range(1, n_seeds + 1):
            folder = write_scored(Path("exp") / f"{name}_s{seed}", seed=seed) / "decode_greedy" / "test"
            errors = {language: [rng.randrange(most) for _ in range(40)] for language in ("fin", "kat")}
            write_utterances(folder, errors)
    return Path("exp")


def test_groups_of_seeds_are_compared(seeds: Path, capsys: pytest.CaptureFixture[str]) -> None:
    splits = {name: sorted(seeds.glob(f"{name}_s*/decode_greedy/test")) for name in ("plain", "robust")}
    expected = compare_seeds(splits["plain"], splits["robust"])
    for a, b in (
        ("plain", "robust"),
        ("plain_s1,plain_s2, plain_s3", "exp/robust_s1,exp/robust_s2/decode_greedy/test"),
    ):
        found = json.loads(printed(capsys, "--compare", a, b, "--json", "-"))
        assert found["a"] == [str(split) for split in splits["plain"]]
        assert found["n_seeds"] == [3, 2]
        assert found["over_languages"]["mean"] == json.loads(json.dumps(asdict(expected.over_languages["mean"])))
        assert found["by_language"].keys() == {"fin", "kat"}
    mean = expected.over_languages["mean"]
    assert mean.a is not None and mean.sd_a is not None
    text = printed(capsys, "--compare", "plain", "robust")
    assert f"{100 * mean.a:.1f} ± {100 * mean.sd_a:.1f}" in text
    assert "  B: 2 seeds: exp/robust_s1/decode_greedy/test, exp/robust_s2/decode_greedy/test" in text
    assert "Welch's t" in " ".join(text.split())
    table = csv.DictReader(io.StringIO(printed(capsys, "--compare", "plain", "robust", "--tsv", "-")), delimiter="\t")
    (row,) = [row for row in table if row["name"] == "mean"]
    assert (float(row["a"]), float(row["sd_a"])) == (mean.a, mean.sd_a)
    for name in ("markdown", "latex", "html"):
        assert f"{100 * mean.a:.1f}" in printed(capsys, "--compare", "plain", "robust", f"--{name}", "-")


def test_a_tag_without_its_seed_of_one_training_is_that_training(
    seeds: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert seeds.is_dir()
    found = json.loads(printed(capsys, "--compare", "alone", "plain_s1", "--json", "-"))
    assert found["a"] == ["exp/alone_s1/decode_greedy/test"]
    assert "n_seeds" not in found


def test_groups_that_cannot_be_compared(seeds: Path) -> None:
    write_utterances(seeds / "plain_s2" / "decode_beam" / "test", {"fin": [1]})
    write_scored(Path("elsewhere/exp/robust_s2"), seed=2)
    for arguments, message in (
        (["alone", "robust"], "alone: 1 training, robust: 2 seeds; compare one training with one"),
        (["robust_s1,robust_s1", "plain"], "there twice, and a seed counts once: exp/robust_s1/decode_greedy/test"),
        (["robust", "plain"], "plain_s2: test was decoded in several ways (beam, greedy)"),
        (["robust_s1,", "robust"], "robust_s1,: nothing between two commas"),
        (["robust_s1,robst_s2", "alon"], "did you mean robust_s2"),
        (["robust_s1,robst_s2", "alon"], "alon: no experiment has this tag"),
        (["robust_s1,robust_s2", "robust", "exp", "elsewhere"], "robust: a seed is there twice"),
    ):
        with pytest.raises(UserError) as caught:
            main([*arguments[2:], "--compare", *arguments[:2]])
        assert message in str(caught.value)


def test_systems_on_different_sets_are_not_compared(exp: Path) -> None:
    write_utterances(exp / "plain_s1/decode_greedy/test", {"fin": [1, 2, 3]})
    write_utterances(exp / "robust_s1/decode_greedy/test", {"fin": [1, 2]})
    with pytest.raises(UserError, match="fin-002"):
        main(["--compare", "plain_s1", "robust_s1"])


def test_of_several_decodings_one_must_be_named(exp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for decode in ("greedy", "beam"):
        write_utterances(exp / "plain_s1" / f"decode_{decode}" / "test", {"fin": [1, 2, 3]})
    with pytest.raises(UserError, match=r"several ways \(beam, greedy\)"):
        main(["--compare", "plain_s1", "plain_s1"])
    assert "0.0" in printed(capsys, "--compare", "plain_s1", "exp/plain_s1/decode_beam", "--decode", "greedy")
