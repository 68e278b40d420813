"""Make ``golden.json``: what public scorers say of ``golden.tsv``. Run by hand; the tests need none of these programs.

    python tests/scoring/data/make_golden.py --sclite /usr/lib/sctk/bin/sclite --espnet ESPNET --ctc-dro CTC_DRO

- sclite: NIST's SCTK 2.4.10, Debian package ``sctk``.
- ESPNET: a checkout of espnet/espnet with ``egs2/ml_superb2/asr1/local/score.py``.
- CTC_DRO: a checkout of the fork of ESPnet that arXiv 2502.01777 links to, with ``egs2/asr_dro/asr1/local``.
- espnet, jiwer and pandas are installed.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import logging
import os
import re
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
TAGS = ("eng", "fin", "cmn", "tha", "hin", "dan", "org_jpn", "xyz")  # of training; xyz is in no reference


def read_rows() -> list[list[str]]:
    """Read utterance, language, reference and hypothesis line."""
    lines = (HERE / "golden.tsv").read_text(encoding="utf-8").splitlines()
    return [line.split("\t") for line in lines[1:]]


def write_trn(path: Path, texts: dict[str, str]) -> None:
    """Write a transcript as ESPnet's ``asr.sh`` does: characters, tags removed."""
    from espnet2.text.char_tokenizer import CharTokenizer

    tokenizer = CharTokenizer([f"[{tag}]" for tag in TAGS], remove_non_linguistic_symbols=True)
    with open(path, "w", encoding="utf-8") as file:
        for utterance, text in texts.items():
            tokens = tokenizer.text2tokens(" ".join(text.split()))
            file.write(f"{' '.join(tokens)}\t({utterance}-{utterance})\n")


def run_sclite(sclite: str, folder: Path) -> str:
    """Return sclite's full report."""
    command = [
        sclite,
        "-r",
        str(folder / "ref.trn"),
        "trn",
        "-h",
        str(folder / "hyp.trn"),
        "trn",
        "-i",
        "rm",
        "-o",
        "all",
        "stdout",
    ]
    return subprocess.run(command, check=True, capture_output=True, text=True, encoding="utf-8").stdout


def run_script(path: Path, arguments: list[str], **changes: Any) -> str:
    """Run a scorer in this process and return what it prints; ``changes`` replace names of Python's own."""
    printed = io.StringIO()
    sys.argv = [str(path), *arguments]
    with contextlib.redirect_stdout(printed):
        runpy.run_path(str(path), init_globals=changes, run_name="__main__")
    return printed.getvalue()


def ml_superb2(sclite: str, local: Path, folder: Path, texts: dict[str, dict[str, str]]) -> dict[str, Any]:
    """Let the recipe of CTC-DRO score; ids are renamed as its ``score_macro.sh`` does."""
    for name, of_name in texts.items():
        renamed = {re.sub("googlei18n-(tts|asr)", "googlei18n", utt): text for utt, text in of_name.items()}
        renamed = {utt.replace("org_jpn", "orgjpn"): text for utt, text in renamed.items()}
        write_trn(folder / f"{name}.trn", renamed)
    report = folder / "result.txt"
    report.write_text(re.sub("[*+]", " ", run_sclite(sclite, folder)), encoding="utf-8")
    printed = run_script(
        local / "multi_superb_score_sd.py", ["--result_file", str(report), "--out_file", str(folder / "x.csv")]
    )
    found = {
        name: float(re.search(pattern + r" *([0-9.]+)", printed)[1])  # type: ignore[index]
        for name, pattern in (
            ("micro", "Micro Sum/Avg:"),
            ("mean", "Macro Sum/Avg:"),
            ("sd", "Standard Deviation Across Languages:"),
        )
    }
    language, *_, gap = printed.strip().splitlines()[-1].split()[1:]
    return {**found, "largest_gap_language": language, "largest_gap": float(gap)}


def challenge2025(script: Path, folder: Path, texts: dict[str, dict[str, str]]) -> dict[str, float]:
    """Let the challenge's script score, but for its rounding."""
    os.chdir(folder)
    for name, where in (("ref", "data"), ("hyp", "exp/decode_asr/org")):
        (folder / where / "dev").mkdir(parents=True)
        lines = "".join(f"{utt} {text}\n" for utt, text in texts[name].items())
        (folder / where / "dev" / "text").write_text(lines, encoding="utf-8")
    for where in ("data/dev_dialect", "exp/decode_asr/dev_dialect"):
        (folder / where).mkdir(parents=True)
        dialects = "a [eng] one\nb [hin] one\n"
        (folder / where / "text").write_text(dialects, encoding="utf-8")
    run_script(script, ["--exp_dir", "exp"], round=lambda value, _: value)
    figures = (folder / "exp" / "challenge_results.md").read_text().splitlines()[-1].split("|")[1:5]
    return dict(zip(("cer", "lid_accuracy", "worst15", "sd"), map(float, figures), strict=True))


def language_identification(local: Path, folder: Path, texts: dict[str, dict[str, str]]) -> float:
    """Return the accuracy by ``split_results.py`` and ``lid.py`` of ML-SUPERB."""
    sys.path.insert(0, str(local))
    import split_results  # type: ignore[import-not-found]

    for name, of_name in texts.items():
        (folder / name).write_text("".join(f"{utt} {text}\n" for utt, text in of_name.items()), encoding="utf-8")
    pairs = [line.split("\t")[:2] for line in split_results.lid_parse(folder / "ref", folder / "hyp")]
    return float(sum(expected == found for expected, found in pairs) / len(pairs))


def main() -> None:
    """Write ``golden.json`` beside this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sclite", required=True)
    parser.add_argument("--espnet", type=Path, required=True)
    parser.add_argument("--ctc-dro", type=Path, required=True)
    args = parser.parse_args()
    import jiwer

    rows = read_rows()
    texts = {
        "ref": {utt: f"[{language}] {text}" for utt, language, text, _ in rows},
        "hyp": {utt: line for utt, _, _, line in rows},
    }
    local = args.ctc_dro.resolve() / "egs2/asr_dro/asr1/local"
    script = args.espnet.resolve() / "egs2/ml_superb2/asr1/local/score.py"
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name, of_name in texts.items():
            write_trn(folder / f"{name}.trn", of_name)
        report = run_sclite(args.sclite, folder)
        counts = {
            utt.lower(): [int(number) for number in numbers.split()]
            for utt, numbers in re.findall(r"id: \((\S+)-\1\)\nScores: \(#C #S #D #I\) ([0-9 ]+)\n", report)
        }
        golden = {
            "sclite": {utt: counts[utt.lower()] for utt in texts["ref"]},
            "ml_superb_lid_accuracy": language_identification(local, folder, texts),
            "ml_superb2": ml_superb2(args.sclite, local, folder, texts),
            "challenge2025": challenge2025(script, folder, texts),
        }
    # references and hypotheses without tags, as jiwer would be given them
    pairs = [(text, re.sub(r"^\[[^\s\[\]]*\]( |$)", "", line)) for _, _, text, line in rows]
    golden["jiwer_wer"] = jiwer.wer([pair[0] for pair in pairs], [pair[1] for pair in pairs])
    (HERE / "golden.json").write_text(json.dumps(golden, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    logging.info("%d utterances -> %s", len(rows), HERE / "golden.json")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    main()
