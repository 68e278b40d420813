"""Every recipe and every configuration is consistent: small, documented, and naming only what exists."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from asr_dro.config import compose_run
from asr_dro.data.config import TASKS, TEXT_PROFILES, TOKEN_TYPES, DataConfig, TokenConfig, read_data_config
from asr_dro.data.draw import parse_duration
from asr_dro.data.languages import lang_set_label, languages
from asr_dro.errors import UserError
from tests.shell_sandbox import ROOT, make_sandbox

WRAPPERS = sorted(ROOT.glob("egs/*/run.sh"))
LANG_SETS = sorted([*ROOT.glob("conf/lang_sets/*.txt"), *ROOT.glob("egs/*/conf/lang_sets/*.txt")])
CONFIGS = sorted([*ROOT.glob("conf/**/*.yaml"), *ROOT.glob("egs/*/conf/**/*.yaml")])
SCRIPTS_WITH_OPTIONS = sorted(
    script
    for script in [ROOT / "run.sh", *ROOT.glob("tools/*.sh"), *ROOT.glob("local/*.sh")]
    if "# >>> options" in script.read_text(encoding="utf-8")
)
AXES = {
    "model": "model/{}.yaml",
    "objective": "objective/{}.yaml",
    "decode": "decode/{}.yaml",
    "data_conf": "data/{}.yaml",
    "lang_set": "lang_sets/{}.txt",
}


def read_options(script: Path) -> dict[str, str]:
    """Return ``{name: help}`` of a script's option block."""
    block = script.read_text(encoding="utf-8").split("# >>> options\n")[1].split("# <<< options\n")[0]
    options = {}
    for line in block.splitlines():
        declaration = re.fullmatch(r"([a-z_]+)=\S* +# (.+)", line)
        assert declaration, f"{script}: not 'name=default # help': {line}"
        options[declaration[1]] = declaration[2]
    return options


def wrapper_options(wrapper: Path) -> dict[str, str]:
    """Return ``{option: value}`` of a recipe."""
    command = wrapper.read_text(encoding="utf-8").split("exec ../../run.sh", maxsplit=1)[1]
    words = shlex.split(command.replace("\\\n", " "))
    assert words.pop() == "$@", f"{wrapper}: the user's arguments must come last"
    assert len(words) % 2 == 0, f"{wrapper}: each option takes one value"
    return {
        name.removeprefix("--").replace("-", "_"): value for name, value in zip(words[::2], words[1::2], strict=True)
    }


def test_run_sh_keeps_its_budget() -> None:
    text = (ROOT / "run.sh").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    assert len(read_options(ROOT / "run.sh")) <= 16


@pytest.mark.parametrize("script", SCRIPTS_WITH_OPTIONS, ids=lambda path: path.name)
def test_help_shows_each_option_once(script: Path) -> None:
    result = subprocess.run(["bash", script, "--help"], text=True, capture_output=True, check=True)
    shown = re.findall(r"^  --([a-z-]+)(?: int| text)? +(.+?)(?: \(default: .*\))?$", result.stdout, flags=re.MULTILINE)
    expected = [(name.replace("_", "-"), text) for name, text in read_options(script).items()]
    assert shown[-len(expected) :] == expected
    assert result.stdout.startswith(script.read_text(encoding="utf-8").splitlines()[1].removeprefix("# "))


def test_there_is_a_recipe() -> None:
    assert [wrapper.parent.name for wrapper in WRAPPERS]


@pytest.mark.parametrize("wrapper", WRAPPERS, ids=lambda path: path.parent.name)
class TestWrapper:
    def test_is_a_list_of_differences(self, wrapper: Path) -> None:
        lines = wrapper.read_text(encoding="utf-8").rstrip("\n").split("\n")
        assert len(lines) <= 15
        assert lines[0] == "#!/usr/bin/env bash"
        assert lines[1].startswith("# ")
        assert lines[-1].strip() == '"$@"'
        assert os.access(wrapper, os.X_OK)
        assert not wrapper.is_symlink()

    def test_names_existing_choices(self, wrapper: Path) -> None:
        known = read_options(ROOT / "run.sh")
        for name, value in wrapper_options(wrapper).items():
            assert name in known, f"run.sh has no option {name}"
            if name in AXES:
                file = f"conf/{AXES[name].format(value)}"
                assert (wrapper.parent / file).is_file() or (ROOT / file).is_file(), f"no {file}"

    def test_has_a_readme_with_its_command(self, wrapper: Path) -> None:
        readme = (wrapper.parent / "README.md").read_text(encoding="utf-8")
        assert f"egs/{wrapper.parent.name}/run.sh" in readme
        assert wrapper.parent.name in (ROOT / "egs" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("lang_set", LANG_SETS, ids=lambda path: path.stem)
def test_lang_set_is_sorted_unique_and_known(lang_set: Path) -> None:
    lines = [line.split("#")[0].split() for line in lang_set.read_text(encoding="utf-8").splitlines()]
    codes = [columns[0] for columns in lines if columns]
    assert codes == sorted(set(codes))
    assert codes
    assert not set(codes) - set(languages())


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_config_says_what_it_is(config: Path) -> None:
    text = config.read_text(encoding="utf-8")
    assert re.match(r"# [A-Z].{15,}", text), "the first line is a comment that says what this file chooses"
    values: Any = yaml.safe_load(text)
    assert isinstance(values, dict)
    assert values


@pytest.mark.parametrize(
    "config", [path for path in CONFIGS if path.parent.name == "data"], ids=lambda path: f"{path.parts[-4]}-{path.stem}"
)
def test_data_config_is_understood(config: Path) -> None:
    assert read_data_config(config)


def test_every_key_of_data_configs_is_documented() -> None:
    readme = (ROOT / "conf" / "README.md").read_text(encoding="utf-8").split("## `conf/data`")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `([a-z_.]+)` \|.*\| (.+) \|$", readme, flags=re.MULTILINE)
    defaults = {key: value for key, value in DataConfig().as_mapping().items() if key != "tokens"}
    defaults |= {f"tokens.{key}": value for key, value in asdict(TokenConfig()).items()}
    shown = {key: yaml.safe_load(default.replace("`", "")) for key, default in rows}
    assert shown == defaults
    for name in (*TEXT_PROFILES, *TOKEN_TYPES, *TASKS):
        assert f"`{name}`" in readme


@pytest.mark.parametrize("objective", [path.stem for path in sorted(ROOT.glob("conf/objective/*.yaml"))])
@pytest.mark.parametrize("model", [path.stem for path in sorted(ROOT.glob("conf/model/*.yaml"))])
def test_each_model_goes_with_each_objective(model: str, objective: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    config = compose_run(model, objective, seed=3)
    assert config["seed"] == 3


@cache
def module_help(module: str) -> str:
    """Return what a stage's ``--help`` prints."""
    command = [sys.executable, "-m", module, "--help"]
    return subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=True).stdout


def test_run_sh_calls_stages_with_options_that_they_have(tmp_path: Path) -> None:
    sandbox = make_sandbox(tmp_path)
    result = sandbox.run("./run.sh --train-args '--max_epoch 2'")
    assert result.returncode == 0, result.stderr
    calls = sandbox.calls()
    assert len(calls) == 11
    for call in calls:
        module = call[call.index("-m") + 1]
        options = {argument.split("=")[0] for argument in call if argument.startswith("--")}
        known = set(re.findall(r"--[a-z-]+", module_help(module)))
        assert options <= known, f"{module} has no {options - known}"


@pytest.mark.parametrize(
    "lang_set", ["mini6", "fin", "spa,fin", "zh-CN,ab", ",".join(sorted(languages())[:10]), "a" * 60]
)
def test_shell_and_python_name_a_language_set_alike(lang_set: str) -> None:
    script = f'. utils/lang_set.sh; lang_label "{lang_set}"'
    result = subprocess.run(["bash", "-c", script], cwd=ROOT, text=True, capture_output=True, check=True)
    assert result.stdout.strip() == lang_set_label(lang_set)


@pytest.mark.parametrize(
    "duration",
    ["all", "10min", "1h", "9h", "90s", "0.5h", "007h", "0.05s", "0h", "0.0min", "1hr", "1H", "-1h", "1.h", ".5h", "",
     "1e3s", "1 h", " 1h", "1h\n"],
)  # fmt: skip
def test_shell_and_python_take_the_same_durations(duration: str, tmp_path: Path) -> None:
    try:
        parse_duration(duration)
        expected = 0
    except UserError:
        expected = 2
    command = shlex.join(["./run.sh", "--stage", "7", f"--duration={duration}"])
    assert make_sandbox(tmp_path).run(command).returncode == expected


def test_pinned_lists_are_plain_and_complete() -> None:
    for name in ("requirements", "requirements-dev"):
        pinned = (ROOT / "tools" / f"{name}.txt").read_text(encoding="utf-8")
        for line in pinned.splitlines():
            assert re.fullmatch(r"[a-z0-9-]+==[^ ]+( ; .+)?", line), f"{name}.txt: not a plain pin: {line}"
        for line in (ROOT / "tools" / f"{name}.in").read_text(encoding="utf-8").splitlines():
            if requirement := re.match(r"[A-Za-z0-9-]+", line):
                assert re.search(rf"^{requirement[0].lower()}==", pinned, flags=re.MULTILINE), (
                    f"{requirement[0]} is not pinned"
                )


def test_shared_pins_of_both_lists_agree() -> None:
    lines = [(ROOT / "tools" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
             for name in ("requirements", "requirements-dev")]  # fmt: skip
    pins = [{line.split(" ;")[0].split("==")[0]: line.split(" ;")[0] for line in part} for part in lines]
    assert {name: pins[0][name] for name in pins[0].keys() & pins[1].keys()} == {
        name: pins[1][name] for name in pins[0].keys() & pins[1].keys()
    }
