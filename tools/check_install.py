#!/usr/bin/env python3
"""Show which packages and programs this interpreter finds, and which models and recipes that enables.

Run it with the environment's interpreter: .venv/bin/python tools/check_install.py. Nothing heavy is imported unless
--import is given. Exit status 0 if every model and recipe can run, else 1.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import importlib.util
import re
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EVERY_RUN = "every run"


@dataclass(frozen=True)
class Package:
    """A package: the name it is imported by, its name on the package index, what needs it."""

    module: str
    distribution: str
    needed_by: str


PACKAGES = (
    Package("torch", "torch", EVERY_RUN),
    Package("torchaudio", "torchaudio", EVERY_RUN),
    Package("espnet2", "espnet", EVERY_RUN),
    Package("numpy", "numpy", EVERY_RUN),
    Package("yaml", "pyyaml", EVERY_RUN),
    Package("omegaconf", "omegaconf", EVERY_RUN),
    Package("soundfile", "soundfile", EVERY_RUN),
    Package("soxr", "soxr", EVERY_RUN),
    Package("kaldiio", "kaldiio", EVERY_RUN),
    Package("sentencepiece", "sentencepiece", EVERY_RUN),
    Package("rapidfuzz", "rapidfuzz", EVERY_RUN),
    Package("jinja2", "jinja2", EVERY_RUN),
    Package("tqdm", "tqdm", EVERY_RUN),
    Package("babel", "babel", "mini corpus"),
    Package("espeakng_loader", "espeakng-loader", "mini corpus"),
    Package("pyarrow", "pyarrow", "parquet, hf_dataset"),
    Package("s3prl", "s3prl", "s3prl models"),
    Package("transformers", "transformers", "wav2vec 2.0 models"),
    Package("peft", "peft", "LoRA adapters"),
    Package("whisper", "openai-whisper", "Whisper models"),
    Package("tensorboard", "tensorboard", "use_tensorboard"),
    Package("pytest", "pytest", "tools/test.sh"),
    Package("mypy", "mypy", "tools/test.sh"),
    Package("ruff", "ruff", "tools/test.sh"),
    Package("jiwer", "jiwer", "tools/test.sh"),
    Package("hypothesis", "hypothesis", "tools/test.sh"),
)
PROGRAMS = {"bats": "tools/test.sh", "chromium": "tools/test.sh", "nvidia-smi": "--ngpu 1 and more"}
# What a model's configuration says -> the package it needs on top of every run.
MODEL_NEEDS = {
    "s3prl": "s3prl",
    "whisper": "whisper",
    "wav2vec2": "transformers",
    "hugging": "transformers",
    "lora:": "peft",
}


def find_problem(package: Package, *, import_it: bool) -> str:
    """Return why ``package`` cannot be used, or an empty string.

    Args:
        package: What to look for.
        import_it: Import it (seconds for the large ones) instead of only looking where it lies.
    """
    if importlib.util.find_spec(package.module) is None:
        return "missing"
    if import_it:
        try:
            importlib.import_module(package.module)
        except Exception as error:  # whatever a broken package raises is the finding
            return f"import fails: {type(error).__name__}: {error}"
    return ""


def installed_version(distribution: str) -> str:
    """Return the version of an installed distribution, or a hyphen."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "-"


def read_pins(requirements: Path) -> dict[str, str]:
    """Read the exact versions of a requirements file as ``{name in lower case: version}``."""
    pins = {}
    for line in requirements.read_text(encoding="utf-8").splitlines():
        if match := re.match(r"([A-Za-z0-9_.-]+)==([^ ;]+)", line):
            pins[match[1].lower()] = match[2]
    return pins


def describe(package: Package, pin: str | None, *, import_it: bool) -> tuple[str, str]:
    """Return the cells "version" and "state" of a package's row."""
    started_s = time.monotonic()
    problem = find_problem(package, import_it=import_it)
    version = installed_version(package.distribution)
    if problem:
        return version, problem
    state = "ok" if not import_it else f"ok, imported in {time.monotonic() - started_s:.1f} s"
    if pin is not None and version.split("+")[0] != pin:  # 2.8.0+cpu is 2.8.0
        state += f" (tested with {pin})"
    return version, state


def model_needs(config: Path) -> list[str]:
    """Return the modules that a model needs on top of every run, judged by the words in its configuration."""
    lines = [line.split("#")[0].lower() for line in config.read_text(encoding="utf-8").splitlines()]
    return sorted({module for word, module in MODEL_NEEDS.items() if any(word in line for line in lines)})


def enabled(missing: set[str], root: Path = ROOT) -> dict[str, list[str]]:
    """Return for each model and recipe the modules that it lacks (empty: it can run).

    Args:
        missing: Modules that cannot be used.
        root: The repository.
    """
    for_all = [package.module for package in PACKAGES if package.needed_by == EVERY_RUN]
    for_mini = [package.module for package in PACKAGES if package.needed_by == "mini corpus"]
    models = {
        config.stem: [module for module in for_all + model_needs(config) if module in missing]
        for config in sorted((root / "conf" / "model").glob("*.yaml"))
    }
    lacks = {f"--model {name}": modules for name, modules in models.items()}
    lacks["--corpus mini"] = [module for module in for_mini if module in missing]
    for wrapper in sorted((root / "egs").glob("*/run.sh")):
        text = wrapper.read_text(encoding="utf-8")
        model = re.search(r"--model[ =](\S+)", text)
        corpus = re.search(r"--corpus[ =](\S+)", text)
        lacking = models.get(model[1], []) if model else [module for module in for_all if module in missing]
        if corpus is None or corpus[1] == "mini":
            lacking = lacking + lacks["--corpus mini"]
        lacks[f"egs/{wrapper.parent.name}/run.sh"] = lacking
    return lacks


def write_table(rows: list[tuple[str, ...]]) -> None:
    """Write ``rows`` to standard output with aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        sys.stdout.write("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n")


def main() -> int:
    """Print the tables and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--import", dest="import_all", action="store_true", help="really import each package (slow)")
    import_all = parser.parse_args().import_all

    pins = read_pins(ROOT / "tools" / "requirements.txt") | read_pins(ROOT / "tools" / "requirements-dev.txt")
    missing = set()
    rows: list[tuple[str, ...]] = [("package", "version", "needed by", "state")]
    for package in PACKAGES:
        version, state = describe(package, pins.get(package.distribution), import_it=import_all)
        rows.append((package.distribution, version, package.needed_by, state))
        if not state.startswith("ok"):
            missing.add(package.module)
    rows += [(name, "-", used_by, "ok" if shutil.which(name) else "not found") for name, used_by in PROGRAMS.items()]
    sys.stdout.write(f"Python {sys.version.split()[0]}: {sys.executable}\n\n")
    write_table(rows)

    lacks = enabled(missing)
    sys.stdout.write("\n")
    write_table([(name, f"lacks {', '.join(modules)}" if modules else "ready") for name, modules in lacks.items()])
    complete = not any(lacks.values())
    if not complete:
        sys.stdout.write("\nTo install what is missing into .venv: tools/install.sh\n")
    return 0 if complete else 1


if __name__ == "__main__":
    raise SystemExit(main())
