from __future__ import annotations

import time
from pathlib import Path

from asr_dro.analysis.stage import analyze
from asr_dro.data.languages import languages
from asr_dro.scoring.stage import score_all
from tests.analysis.sets import Spec, write_set

MOST_CPU_S = 3.0  # 0.4 s on a free machine; 4.8 s for fifty times as many utterances


def test_all_languages_of_the_benchmark(tmp_path: Path) -> None:
    codes = [code for code, one in languages().items() if one.ml_superb]
    assert len(codes) == 143
    planted = write_set(tmp_path, {code: Spec(n_train=20, n_test=20) for code in codes})
    score_all(planted.data, planted.decode_dir)
    start = time.process_time()
    analysis = analyze(planted.data, planted.exp, planted.decode_dir, "test", None)
    assert time.process_time() - start < MOST_CPU_S
    assert len(analysis["languages"]) == 143
    assert sum(entry["is_bad"] for entry in analysis["languages"]) <= 15
    assert analysis["n_suspects"] < 0.005 * analysis["n_utterances"]
    assert {one["n"] for one in analysis["associations"]} == {143}
