from __future__ import annotations

import os
from pathlib import Path

from asr_dro.fingerprint import content_fingerprint


def test_contents_and_roles_count_but_not_times_and_places(tmp_path: Path) -> None:
    one, two, absent = tmp_path / "one", tmp_path / "two", tmp_path / "absent"
    one.write_text("x", encoding="utf-8")
    two.write_text("x", encoding="utf-8")
    mark = content_fingerprint({"text": one, "more": absent}, version="1")
    os.utime(one, (1, 1))
    assert content_fingerprint({"more": absent, "text": two}, version="1") == mark
    assert content_fingerprint({"text": absent, "more": one}, version="1") != mark
    assert content_fingerprint({"text": one, "more": absent}, version="2") != mark
    absent.write_text("", encoding="utf-8")
    assert content_fingerprint({"text": one, "more": absent}, version="1") != mark  # empty is not absent
