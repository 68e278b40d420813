#!/usr/bin/env python3
"""How large the report of 143 languages is, how long stage 7 takes to write it, and how soon a browser shows it.

    python3 docs/benchmarks/report_size.py                    # writes docs/benchmarks/report_size.json, its last result
    python3 docs/benchmarks/report_size.py --languages 20 --utterances 50 --out /tmp/report_size.json

The experiment is made up: real names of languages, sentences in eleven scripts with errors drawn at random, 40 epochs,
3,000 updates of the group weights, three other runs beside it. Stage 7 is measured as a user starts it, Python's own
start included. Loading is the browser's own navigation timing of a file on disk: headless Chromium, page by page.
"""

from __future__ import annotations

import argparse
import logging
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
sys.path.insert(0, str(REPOSITORY))

from asr_dro.analysis.stage import analyze  # noqa: E402
from asr_dro.errors import run_main  # noqa: E402
from asr_dro.fileio import write_json  # noqa: E402
from asr_dro.scoring.stage import score_all  # noqa: E402
from asr_dro.training.environment import describe_environment  # noqa: E402
from tests.report.browser import Browser, missing_programs, open_browser  # noqa: E402
from tests.report.experiment import Experiment, many_languages, write_experiment  # noqa: E402

logger = logging.getLogger("report_size")

N_OTHER_RUNS = 3
TIMING = """
    const page = performance.getEntriesByType("navigation")[0];
    const paint = performance.getEntriesByName("first-contentful-paint")[0];
    return {parsed_ms: page.domContentLoadedEventEnd, loaded_ms: page.loadEventEnd,
            painted_ms: paint?.startTime ?? null, elements: document.querySelectorAll("*").length,
            page_width: document.documentElement.scrollWidth};
"""


def make_experiment(root: Path, arguments: argparse.Namespace) -> Experiment:
    """Write a scored and analysed experiment with other runs beside it."""
    made = write_experiment(
        root,
        many_languages(arguments.languages),
        n_utterances=arguments.utterances,
        n_epochs=arguments.epochs,
        n_updates=arguments.updates,
    )
    score_all(made.data, made.exp / "decode_greedy")
    analyze(made.data, made.exp, made.exp / "decode_greedy", "test", None)
    for number in range(N_OTHER_RUNS):
        scores = made.exp.parent / f"other_run_s{number}" / "decode_greedy" / "test" / "scores.json"
        scores.parent.mkdir(parents=True)
        shutil.copy(made.exp / "decode_greedy" / "test" / "scores.json", scores)
    return made


def write_report(made: Experiment, repeats: int) -> dict[str, Any]:
    """Run stage 7 several times anew, and once more with nothing to do."""
    command = [sys.executable, "-m", "asr_dro.bin.report", "--data", str(made.data), "--exp", str(made.exp)]
    wall_s, cpu_s = [], []
    for _ in range(repeats):
        (made.exp / "report.html").unlink(missing_ok=True)
        wall, cpu = _time(command)
        wall_s.append(wall)
        cpu_s.append(cpu)
    return {
        "write_wall_s": _middle(wall_s),
        "write_cpu_s": _middle(cpu_s),
        "nothing_to_do_wall_s": round(_time(command)[0], 2),
        "largest_process_gb": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6, 2),
    }


def _time(command: list[str]) -> tuple[float, float]:
    """Return wall and CPU seconds of a command."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, cwd=REPOSITORY, capture_output=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def section_sizes(html: str) -> dict[str, int]:
    """Return the bytes of each section, of the style sheet and of the scripts."""
    sections = re.findall(r'<section id="([\w-]+)".*?</section>', html, re.DOTALL)
    bodies = re.findall(r'<section id="[\w-]+".*?</section>', html, re.DOTALL)
    sizes = {name: len(body.encode()) for name, body in zip(sections, bodies, strict=True)}
    for tag in ("style", "script"):
        sizes[tag] = len(re.findall(rf"<{tag}>.*?</{tag}>", html, re.DOTALL)[-1].encode())
    return sizes


def load(browser: Browser, report: Path, width: int, repeats: int) -> dict[str, Any]:
    """Open the report several times; other work on the machine changes the main thread's CPU time least."""
    browser.devtools("Performance.enable", timeDomain="threadTicks")
    measured = []
    for _ in range(repeats):
        browser.open(report, width=width)
        metrics = {one["name"]: one["value"] for one in browser.devtools("Performance.getMetrics")["metrics"]}
        measured.append({**browser.run(TIMING), "main_thread_cpu_ms": 1000 * metrics["TaskDuration"]})
    times = {
        name: _middle([one[name] for one in measured if one[name] is not None], 0)
        for name in ("parsed_ms", "loaded_ms", "painted_ms", "main_thread_cpu_ms")
    }
    return {"width": width, **times, "elements": measured[0]["elements"], "page_width": measured[0]["page_width"]}


def _middle(values: list[float], digits: int = 2) -> dict[str, float]:
    """Return the median and the extremes."""
    numbers = {"median": statistics.median(values), "least": min(values), "most": max(values)}
    return {name: round(value, digits) for name, value in numbers.items()}


def main() -> None:
    """Make the experiment, measure, log and write the result."""
    parser = argparse.ArgumentParser(description="Measure the report of many languages.")
    parser.add_argument("--languages", type=int, default=143, help="languages (%(default)s)")
    parser.add_argument("--utterances", type=int, default=1000, help="test utterances of each (%(default)s)")
    parser.add_argument("--epochs", type=int, default=40, help="epochs (%(default)s)")
    parser.add_argument("--updates", type=int, default=3000, help="updates of the group weights (%(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="runs of stage 7 and openings (%(default)s)")
    parser.add_argument("--out", type=Path, default=HERE / "report_size.json", help="where the result goes")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        made = make_experiment(Path(folder), arguments)
        result = write_report(made, arguments.repeats)
        report = made.exp / "report.html"
        result |= {"bytes": report.stat().st_size, "sections": section_sizes(report.read_text(encoding="utf-8"))}
        if missing_programs():
            logger.warning("not installed: %s; loading is not measured", " ".join(missing_programs()))
        else:
            with open_browser() as browser:
                result["loading"] = [load(browser, report, width, arguments.repeats) for width in (1280, 390)]
                result["console"] = browser.console()
    environment = describe_environment(REPOSITORY)
    data = {name: getattr(arguments, name) for name in ("languages", "utterances", "epochs", "updates", "repeats")}
    write_json(
        arguments.out,
        {
            "what": "size of report.html, time of stage 7, the browser's navigation timing",
            "command": "python3 docs/benchmarks/report_size.py",
            **{name: environment[name] for name in ("created", "commit", "host")},
            "data": data,
            "results": result,
        },
    )
    logger.info("%s\nwrote %s", result, arguments.out)


if __name__ == "__main__":
    run_main(main)
