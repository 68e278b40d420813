"""Beam search and languages in the decoding of whole sets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from asr_dro.data.data_dir import read_two_columns
from asr_dro.data.tokens import read_token_list
from asr_dro.errors import UserError
from tests.decoding.experiments import arguments_of, write_experiment
from tests.decoding.sharded_case import Case

REPOSITORY = Path(__file__).parents[2]


def test_the_n_best_hypotheses_of_a_set_with_times(case: Case) -> None:
    content = "search: beam\nnbest: 3\ntimes: true\n"
    files = case.decode("beam", content)
    texts = dict(line.partition(" ")[::2] for line in files["test/text"].decode().splitlines())
    for line in files["test/nbest.jsonl"].decode().splitlines():
        entry = json.loads(line)
        scores = [one["score"] for one in entry["nbest"]]
        assert 1 <= len(scores) <= 3 and scores == sorted(scores, reverse=True)
        assert texts[entry["utt_id"]].endswith(entry["nbest"][0]["text"])
        for one in entry["nbest"]:
            tokens = [token for token in one["tokens"] if not token["token"].startswith("[")]
            assert [token["start_s"] for token in tokens] == sorted(token["start_s"] for token in tokens)
            assert all(token["start_s"] < token["end_s"] and 0 < token["confidence"] <= 1 for token in tokens)
    assert case.decode("small", content + "seconds_per_batch: 0.1\n")["test/text"] == files["test/text"]


@pytest.mark.parametrize("search", ["greedy", "beam"])
def test_given_languages_are_those_of_the_set(case: Case, search: str) -> None:
    files = case.decode("given", f"search: {search}\nlanguages: given\n")
    languages = read_two_columns(case.data_set / "test" / "utt2lang")
    for line in files["test/text"].decode().splitlines():
        utt_id, tag = line.split()[:2]
        assert tag == f"[{languages[utt_id]}]"


def test_a_word_list_is_all_that_is_written(case: Case) -> None:
    words = case.folder / "words"
    words.write_text("ab\nhad\ncafe\nbed\n")
    files = case.decode("words", f"search: beam\nlanguages: 2\nbeam_size: 30\nword_list: {words}\n")
    written = {word for line in files["test/text"].decode().splitlines() for word in line.split()[2:]}
    assert written and written <= {"ab", "had", "cafe", "bed"}
    with pytest.raises(UserError, match="cannot be read"):
        case.decode("missing", f"search: beam\nword_list: {case.folder / 'none'}\n")


def test_the_configurations_of_the_repository_decode(prepared: tuple[Path, Path], tmp_path: Path) -> None:
    arguments = arguments_of(tokens=read_token_list(prepared[0] / "tokens.txt"))
    case = Case((prepared[0], write_experiment(tmp_path / "trained", arguments)), tmp_path)
    for name in ("beam", "given"):
        content = (REPOSITORY / "conf" / "decode" / f"{name}.yaml").read_text(encoding="utf-8")
        assert len(case.decode(name, content)["test/text"].splitlines()) == 24
