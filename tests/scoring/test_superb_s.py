from __future__ import annotations

from pathlib import Path

import pytest

from asr_dro.bin.superb_score import main
from asr_dro.collecting.published import read_published
from asr_dro.errors import UserError
from asr_dro.scoring.superb_s import FIGURES, read_systems, superb_s


def published(setting: str) -> dict[str, dict[str, float]]:
    systems: dict[str, dict[str, float]] = {}
    for figure in read_published("ml_superb"):
        if figure.setting == setting:
            systems.setdefault(figure.system, {})[figure.metric] = figure.value
    return systems


@pytest.mark.parametrize("setting", ["10 min", "1 h"])
def test_the_published_scores_come_out_of_the_published_figures(setting: str) -> None:
    systems = published(setting)
    assert len(systems) == 13
    for name, score in superb_s(systems).items():
        assert score == pytest.approx(systems[name]["SUPERB_s"], abs=0.1), name


def test_a_case_computed_by_hand() -> None:
    zero = dict(zip(FIGURES, (80, 60, 60, 10, 20, 60, 60), strict=True))
    half = dict(zip(FIGURES, (60, 40, 60, 60, 20, 60, 50), strict=True))
    best = dict(zip(FIGURES, (40, 20, 40, 50, 80, 40, 40), strict=True))
    # mono 1/2, multilingual (1/2 + 0) / 2, LID 1, joint (0 + 0 + 1/2) / 3
    expected = 1000 * (1 / 2 + 1 / 4 + 1 + 1 / 6) / 4
    scores = superb_s({"FBANK": zero, "half": half, "best": best})
    assert scores == {
        "FBANK": 0.0,
        "half": pytest.approx(expected),
        "best": pytest.approx(1000 * (1 + 1 + 40 / 50 + 1) / 4),  # its LID is not the best
    }
    with pytest.raises(
        UserError, match=r"no system better; there are FBANK, half, best|no system better, the baseline"
    ):
        superb_s({"FBANK": zero, "half": half, "best": best}, baseline="better")


def test_what_is_missing_is_named() -> None:
    zero = dict.fromkeys(FIGURES, 50.0)
    with pytest.raises(UserError, match="one has no LID accuracy"):
        superb_s({"FBANK": zero, "one": {name: 40.0 for name in FIGURES if name != "LID accuracy"}})
    with pytest.raises(UserError, match="no system is better than FBANK in mono CER/PER"):
        superb_s({"FBANK": zero})


@pytest.mark.parametrize(
    ("value", "message"), [("x", "could not convert"), ("nan", "not a number"), ("inf", "not a number")]
)
def test_a_table_with_odd_numbers_is_refused(tmp_path: Path, value: str, message: str) -> None:
    table = tmp_path / "t.tsv"
    table.write_text("\t".join(["system", *FIGURES]) + "\nmine" + f"\t{value}" * 7 + "\n")
    with pytest.raises(UserError, match=f"mine: .*{message}"):
        read_systems(table)
    with pytest.raises(UserError, match="no such file"):
        read_systems(tmp_path / "none.tsv")


def test_ones_own_system_beside_the_published(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "t.tsv"
    own = [str(published("1 h")["XLSR-53"][figure]) for figure in FIGURES]
    table.write_text("\t".join(["system", *FIGURES]) + "\n" + "\t".join(["mine", *own]) + "\n")
    main([str(table), "--published", "1h"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines if line.startswith("mine ")] == ["894.0"]
    assert sum(line.endswith("(published)") for line in lines) == 13
    table.write_text("\t".join(["system", *FIGURES]) + "\n" + "\t".join(["XLSR-53", *own]) + "\n")
    with pytest.raises(UserError, match="published systems have these names"):
        main([str(table), "--published", "1h"])
    with pytest.raises(SystemExit):
        main([])
