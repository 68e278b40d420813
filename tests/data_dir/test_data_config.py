from __future__ import annotations

from typing import Any

import pytest

from asr_dro.data.config import DataConfig
from asr_dro.errors import UserError


def test_all_mistakes_are_named_at_once() -> None:
    values = {
        "text": "simple",
        "tokens": {"type": "words", "vocabulary": 5, "min_count": 0, "temperature": 1.5},
        "tsak": "asr",
        "audio": ["keep"],
        "group": [],
        "label_repairs": {"a": 1},
        "longest_s": "20",
        "shortest_s": float("nan"),
    }
    with pytest.raises(UserError) as error:
        DataConfig.from_mapping(values, "mine.yaml")
    said = str(error.value).splitlines()
    assert said[0] == "mine.yaml:"
    for part in (
        "tsak is not a key; did you mean task?",
        "tokens.vocabulary is not a key; did you mean vocabulary_size?",
        "text is 'simple'; allowed: basic, ",
        "audio is ['keep']; allowed: convert, pack, keep",
        "tokens.type is 'words'; allowed: char, ",
        "tokens.min_count must be a whole number from 1 on, not 0",
        "tokens.temperature must be from 0 to 1, not 1.5",
        "longest_s must be seconds above 0, not '20'",
        "shortest_s must be seconds above 0, not nan",
        "label_repairs must be a name or a list of names",
        "group must name at least one column",
    ):
        assert sum(line.strip().startswith(part) for line in said) == 1, part
    assert len(said) == 12


@pytest.mark.parametrize("tokens", ["bpe", ["bpe"], 3])
def test_tokens_are_keys_and_values(tokens: Any) -> None:
    with pytest.raises(UserError, match="tokens must hold keys and values, not"):
        DataConfig.from_mapping({"tokens": tokens}, "mine.yaml")


def test_what_is_written_is_read_again() -> None:
    config = DataConfig.from_mapping({"tokens": {"type": "bpe"}, "group": ["language", "gender"]}, "mine.yaml")
    assert DataConfig.from_mapping(config.as_mapping(), "again") == config
    assert DataConfig.from_mapping({"tokens": None, "group": "gender"}, "mine.yaml").group == ("gender",)
    assert DataConfig.from_mapping({}, "mine.yaml") == DataConfig()
