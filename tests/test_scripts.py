from __future__ import annotations

import pytest
from babel import Locale

from asr_dro.data.languages import languages
from asr_dro.scripts import script_name


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("Latn", "Latin"),
        ("Deva", "Devanagari"),
        ("Hans", "Han, simplified"),
        ("Hant", "Han, traditional"),
        ("Hani", "Han"),
        ("tibetan", "Tibetan"),
        ("", ""),
    ],
)
def test_names(code: str, name: str) -> None:
    assert script_name(code) == name


def test_each_script_of_our_languages_has_a_name() -> None:
    codes = {language.script for language in languages().values() if language.script}
    assert codes <= Locale("en").scripts.keys()
