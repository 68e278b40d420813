"""What readers see: on the terminal, in Markdown and in LaTeX."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_dro.collecting.columns import Cell, Column
from asr_dro.collecting.entries import Entry, Value
from asr_dro.collecting.find import Place
from asr_dro.collecting.markup import escape_latex, escape_markdown, format_latex, format_markdown
from asr_dro.collecting.published import published_names, read_published
from asr_dro.collecting.runs import Run
from asr_dro.collecting.tables import Table, entry_tables, published_table
from asr_dro.collecting.terminal import WIDTH, format_terminal, text_width
from asr_dro.errors import UserError

LONG = "a_very_long_name_of_a_model_that_nobody_would_type"


def entry(tag: str = "x", *, state: str = "scored", note: str = "", root: str = "exp", **changes: object) -> Entry:
    facts = {"corpus": "mini", "lang_set": "mini6", "model": "xlsr", "objective": "ctc", "seed": 1, "audio_h": 12.5}
    facts |= {"gpu_h": 103.4, "data": "f00d", **changes}
    run = Run(Place(Path(root), Path(root) / tag), **facts)  # type: ignore[arg-type]
    values = {
        "mean_cer": Value(0.1111, 0.1, 0.12),
        "worst_cer": Value(0.4444),
        "worst15_cer": Value(0.3),
        "mean_wer": Value(0.5),
        "lid_accuracy": Value(0.9),
    }
    row = Entry(run, "greedy", "test", state, note, values, "hin", 143, 1430, seeds=(run.seed,))
    return row if state == "scored" else replace(row, values={}, decode="")


def shown(*entries: Entry, wide: bool = False) -> str:
    return format_terminal(entry_tables(entries, metric="worst_cer", wide=wide), width=None if wide else WIDTH)


def test_a_row_on_the_terminal() -> None:
    lines = shown(entry(), entry("y", objective="ctc_dro")).splitlines()
    assert lines[0] == "mini mini6 · test"
    assert " ".join(lines[1].split()) == "Model Objective Seed CER 95 % Worst Which W15 WER LID Audio h GPU h"
    assert " ".join(lines[2].split()) == "xlsr ctc 1 11.1 10.0–12.0 44.4 hin 30.0 50.0 90.0 12.5 103"
    assert lines[4].strip() == "143 languages, 1430 utterances; decode greedy; percent; by worst CER"


def test_seeds_of_a_pool_have_their_spread() -> None:
    pooled = replace(entry(), values={"mean_cer": Value(0.1, sd=0.012, n=3)}, seeds=(1, 2, 3))
    assert re.search(r"n\s=\s3 +10\.0 ± 1\.2", shown(pooled))


def test_rows_that_look_alike_are_told_apart() -> None:
    assert "Experiment" not in shown(entry(), entry(seed=2))
    text = shown(entry("a"), entry("b"))
    assert re.search(r"^  a +xlsr", text, re.MULTILINE)
    text = shown(entry("a", root="here"), entry("a", root="there"))
    assert "here/a" in text
    assert "there/a" in text


def test_other_data_and_other_test_sets_are_other_tables() -> None:
    tables = entry_tables([entry(), entry("y", data="beef"), replace(entry("z"), n_utterances=7)], metric="worst_cer")
    assert [table.title for table in tables] == [
        "mini mini6 · test, prepared data f00d",
        "mini mini6 · test, prepared data beef",
        "mini mini6 · test, prepared data f00d",
    ]


def test_what_is_not_scored_is_below_with_its_reason() -> None:
    text = shown(entry(), entry("broken", state="failed", note="stage 4: no memory"))
    assert text.index("Not scored") > text.index("xlsr")
    assert re.search(r"failed +broken +test +stage 4: no memory", text)
    for format_ in (format_markdown, format_latex):
        markup = format_(entry_tables([entry("broken", state="failed", note="stage 4")], metric="worst_cer"))
        assert re.search(r"failed.*broken.*stage 4", markup)


def test_notes_are_numbered_once() -> None:
    text = shown(entry("a", note="picked"), entry("b", seed=2, note="picked"), entry("c", seed=3, note="other"))
    assert text.count("picked") == 1
    assert "1: picked" in text
    assert "2: other" in text


@pytest.mark.parametrize("name", [LONG, "语言" * 30, "é" * 60])
def test_lines_fit(name: str) -> None:
    rows = [
        replace(entry(name, model=name, objective=name, corpus=name, cpu_h=0.0123), settings={f"x.{name}": name}),
        entry(name, note=f"{name} {name}"),
        entry(name, state="failed", note=name * 3),
    ]
    text = shown(*rows)
    assert max(map(text_width, text.splitlines())) <= WIDTH
    assert "11.1" in text
    assert "44.4" in text
    assert name in shown(*rows, wide=True)
    for published in published_names():
        lines = format_terminal([published_table(read_published(published))]).splitlines()
        assert max(map(text_width, lines)) <= WIDTH
        assert sum(".3" in line or ".0" in line for line in lines) > 3


@given(st.lists(st.lists(st.text(max_size=40), min_size=3, max_size=3), max_size=4), st.integers(12, 90))
def test_any_texts_fit_any_width(rows: list[list[str]], width: int) -> None:
    columns = [Column("Model"), Column("A B", is_number=True, rank=1), Column("What")]
    cells = [[Cell("".join(c for c in text if c.isprintable())) for text in row] for row in rows]
    text = format_terminal([Table("t", columns, cells, ["a note of some words"])], width=width)
    assert max(text_width(line) for line in text.split("\n")) <= width


def test_numbers_of_notes_are_never_cut() -> None:
    for head in ("Note", "Ref"):
        table = Table("t", [Column("System"), Column(head)], [[Cell("seven"), Cell("1234567")]])
        assert "1234567" in format_terminal([table], width=14).splitlines()[-1]


def test_width_of_marks_and_wide_characters() -> None:
    assert text_width(unicodedata.normalize("NFD", "é")) == 1
    assert text_width("语a") == 3


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"])))
def test_no_text_leaves_its_markdown_cell(text: str) -> None:
    escaped = escape_markdown(text)
    assert not re.search(r"(?<!\\)(\\\\)*\|", escaped)
    assert re.sub(r"\\([\\`*_{}\[\]<>#|~$&])", r"\1", escaped) == text


@given(st.text(alphabet="ab\\{}$&#%_~^<>±×·–−…"))
def test_latex_has_no_special_character_left(text: str) -> None:
    commands = (
        r"\\(textbackslash|textasciitilde|textasciicircum|textless|textgreater|ldots)\{\}|\\[{}$&#%_]|\$\\?[a-z-]+\$"
    )
    assert not re.search(r"[\\{}$&#%_~^<>]", re.sub(commands, "", escape_latex(text)))


def test_every_latex_row_has_its_columns() -> None:
    text = format_latex(entry_tables([entry(note="a & b"), entry("y", seed=2)], metric="worst_cer"))
    (columns,) = re.findall(r"\\begin\{tabular\}\{([lr]+)\}", text)
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len(rows) == 3
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {len(columns) - 1}
    assert r"1: a \& b" in text


def test_published_figures_have_sources_and_numbers() -> None:
    assert published_names() == ["challenge2025", "ctc_dro", "ml_superb"]
    figures = [figure for name in published_names() for figure in read_published(name)]
    assert all(figure.source and figure.system and figure.unit in {"%", "points"} for figure in figures)
    keys = [(figure.system, figure.setting, figure.metric, figure.source) for figure in figures]
    assert len(set(keys)) == len(keys)
    assert all(0 <= figure.value <= 200 for figure in figures if figure.unit == "%")
    with pytest.raises(UserError, match=r"no such table.*ctc_dro"):
        read_published("../columns")


def test_published_figures_agree_with_what_is_said_of_them_elsewhere() -> None:
    """The abstract of CTC-DRO says that its worst error fell by up to 47.1 %, its mean by up to 32.9 %."""
    found = {(one.system, one.setting, one.metric): one.value for one in read_published("ctc_dro")}
    for metric, share in (("CER worst", 0.471), ("CER mean", 0.329)):
        before, after = (found[f"XLS-R {name}", "set 2, more data", metric] for name in ("CTC", "CTC-DRO"))
        assert 1 - after / before == pytest.approx(share, abs=0.0005)


def test_published_scores_follow_from_their_errors() -> None:
    """SUPERB_s is a formula of the other columns of its table; figures copied wrongly would break it."""
    figures = read_published("ml_superb")
    for setting in ("10 min", "1 h"):
        table: dict[str, dict[str, float]] = {}
        for one in figures:
            if one.setting == setting:
                table.setdefault(one.system, {})[one.metric] = one.value
        tasks = [["mono CER/PER"], ["ASR normal CER", "ASR few-shot CER"], ["LID accuracy"]]
        tasks += [["ASR+LID accuracy", "ASR+LID normal CER", "ASR+LID few-shot CER"]]
        best = {
            metric: (max if "accuracy" in metric else min)(row[metric] for row in table.values())
            for task in tasks
            for metric in task
        }
        worst = table["FBANK"]
        for row in table.values():
            parts = [sum((row[m] - worst[m]) / (best[m] - worst[m]) for m in task) / len(task) for task in tasks]
            assert 1000 * sum(parts) / len(parts) == pytest.approx(row["SUPERB_s"], abs=0.11)
