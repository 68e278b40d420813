"""Every command in the READMEs is run, and the layout lists what is there.

A command that starts with a script which only calls stages runs as it stands, with a recorder in the place of python3;
the stages themselves run in the other tests. A command that would install or test everything runs with ``--help``
appended: its options are parsed first. Any other program has to be added to ``RUNNERS`` with a way to run it.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.shell_sandbox import CORPUS_VARIABLES, ROOT, Sandbox, make_sandbox

FILE_ENDINGS = {".gz", ".tar", ".json", ".jsonl"}  # of corpora that are one file
READMES = [ROOT / "README.md", *sorted(ROOT.glob("egs/**/README.md"))]


def read_commands(markdown: str) -> list[str]:
    """Return the commands of all ```bash blocks, continued lines joined, comments cut off."""
    blocks = re.findall(r"^```bash\n(.*?)^```", markdown, flags=re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [command for line in lines if (command := re.sub(r"(^|\s+)#\s.*", "", line).strip())]


def split_command(command: str) -> tuple[dict[str, str], list[str]]:
    """Return the leading assignments and the words after them."""
    words = shlex.split(command)
    assignments = {}
    while match := re.fullmatch(r"([A-Z_]+)=(.*)", words[0]):
        assignments[match[1]] = match[2]
        words.pop(0)
    return assignments, words


def run_with_recorder(command: str, sandbox: Sandbox) -> None:
    """Run the command as it stands; it must succeed and call stages (or show its help)."""
    assignments = split_command(command)[0]
    for name in CORPUS_VARIABLES:  # a corpus of the reader's, which is not here
        if path := assignments.get(name):
            replacement = sandbox.root / "a corpus" / Path(path).name
            replacement.parent.mkdir(parents=True, exist_ok=True)
            if replacement.suffix in FILE_ENDINGS:
                replacement.touch()
            else:
                replacement.mkdir()
            command = command.replace(path, shlex.quote(str(replacement)))
    result = sandbox.run(command)
    assert result.returncode == 0, result.stderr
    if "--help" in command:
        assert "Options:" in result.stdout
    else:
        assert any(word.startswith("asr_dro.bin.") for call in sandbox.calls() for word in call)


def run_with_help(command: str, sandbox: Sandbox) -> None:
    """Run the command with ``--help`` appended; a wrong option before it is refused."""
    result = sandbox.run(f"{command} --help")
    assert result.returncode == 0, result.stderr
    assert "Options:" in result.stdout


def run_with_this_python(command: str, sandbox: Sandbox) -> None:
    """Run a Python script with the interpreter of the tests; it may find something missing (status 1)."""
    words = split_command(command)[1]
    if words[1] == "-m":
        return run_on_an_experiment(words, sandbox)
    result = subprocess.run([sys.executable, *words[1:]], cwd=ROOT, text=True, capture_output=True, check=False)
    assert result.returncode in {0, 1}, result.stderr
    assert result.stdout


def run_on_an_experiment(words: list[str], sandbox: Sandbox) -> None:
    """Run a command that uses a trained model, with random weights and noise in the places that it names."""
    from tests.decoding.experiments import TOKENS, arguments_of, speech, write_audio, write_experiment
    from tests.export.test_hugging_face import wav2vec2_arguments
    from tools.make_tiny_checkpoints import make_wav2vec2

    _, _, module, experiment, *arguments = words
    if Path(experiment).name.startswith("xlsr"):
        make_wav2vec2(sandbox.root / "tiny", large=True)
        write_experiment(sandbox.root / experiment, wav2vec2_arguments(sandbox.root / "tiny", TOKENS))
    else:
        write_experiment(sandbox.root / experiment, arguments_of())
    if module.endswith("transcribe"):
        name = arguments[0]
        write_audio(sandbox.root / (f"{name}a.wav" if name.endswith("/") else name), speech(2, seed=0))
    result = subprocess.run(
        [sys.executable, "-m", module, experiment, *arguments],
        cwd=sandbox.root,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
        capture_output=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout or any(path.is_file() for path in (sandbox.root / arguments[-1]).rglob("*")) or (
        sandbox.root / arguments[0] / "README.md"
    ).is_file()  # fmt: skip


def run_dry(command: str, sandbox: Sandbox) -> None:
    """Parse a submission's options, and expand its grid for its site, or for the repository's where it names none."""
    from asr_dro.bin.submit import get_parser
    from asr_dro.cluster.campaign import Campaign

    arguments = get_parser().parse_args(split_command(command)[1][1:])
    given = {"exp_dir": str(sandbox.root / "exp")}
    assert Campaign(arguments.grid, arguments.cluster or "slurm", arguments.grid, given).dry_run()


def run_in_a_repository(command: str, sandbox: Sandbox) -> None:
    """Run pre-commit's command in a new repository with our configuration; the hooks must be there afterwards."""
    shutil.copy(ROOT / ".pre-commit-config.yaml", sandbox.root)
    words = shlex.join([sys.executable, "-m", "pre_commit", *split_command(command)[1][1:]])
    unset = "unset $(git rev-parse --local-env-vars)"  # those of a hook that runs this test
    result = sandbox.run(
        f"{unset}; git init -q . && {words} && {shlex.quote(sys.executable)} -m pre_commit validate-config"
    )
    assert result.returncode == 0, result.stderr
    assert {"pre-commit", "pre-push"} <= {path.name for path in (sandbox.root / ".git" / "hooks").iterdir()}


RUNNERS: dict[str, Callable[[str, Sandbox], None]] = {
    r"\./run\.sh|egs/\w+/run\.sh|local/collect_scores\.sh": run_with_recorder,
    r"\./submit\.sh": run_dry,
    r"tools/\w+\.sh": run_with_help,
    r"\.venv/bin/python": run_with_this_python,
    r"\.venv/bin/pre-commit": run_in_a_repository,
}
COMMANDS = [
    (readme.relative_to(ROOT), command)
    for readme in READMES
    for command in read_commands(readme.read_text(encoding="utf-8"))
]


def find_runner(command: str) -> Callable[[str, Sandbox], None]:
    """Return how a command of a README is run here."""
    program = split_command(command)[1][0]
    for pattern, runner in RUNNERS.items():
        if re.fullmatch(pattern, program):
            return runner
    pytest.fail(f"say in RUNNERS of {Path(__file__).name} how to run {program}: {command}")


@pytest.mark.parametrize(("readme", "command"), COMMANDS, ids=[f"{readme}: {command}" for readme, command in COMMANDS])
def test_command_works(readme: Path, command: str, tmp_path: Path) -> None:
    find_runner(command)(command, make_sandbox(tmp_path))


def test_the_two_commands_are_there() -> None:
    commands = read_commands((ROOT / "README.md").read_text(encoding="utf-8"))
    assert commands[:2] == ["./run.sh", "tools/test.sh"]


def test_reading_commands() -> None:
    text = "```bash\n# a comment\na --b c  # why\ne \\\n  f\n```\n```\nnot this\n```\n```bash\nX=1 g#h\n```\n"
    assert read_commands(text) == ["a --b c", "e    f", "X=1 g#h"]


@pytest.mark.parametrize("wrong", ["./run.sh --no-such-option 1", "./run.sh --model nonsense", "./run.sh --stage 9"])
def test_a_wrong_command_fails(wrong: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        run_with_recorder(wrong, make_sandbox(tmp_path))


def test_a_wrong_option_of_a_tool_fails(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        run_with_help("tools/install.sh --developer", make_sandbox(tmp_path))


def test_a_new_program_cannot_be_forgotten() -> None:
    with pytest.raises(pytest.fail.Exception):
        find_runner("curl something")


def test_no_other_language_tag_hides_a_command() -> None:
    for readme in READMES:
        tags = set(re.findall(r"^```(\S+)", readme.read_text(encoding="utf-8"), flags=re.MULTILINE))
        assert tags <= {"bash", "python", "text"}, f"{readme}: commands go into ```bash blocks, output into ```text"


def test_layout_lists_what_is_there() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8").split("## Layout")[1]
    listed = set(re.findall(r"^\| `([^`]+)` \|", readme, flags=re.MULTILINE))
    not_listed = {"data", "exp", "downloads", "README.md"}
    present = {
        path.name + ("/" if path.is_dir() else "")
        for path in ROOT.iterdir()
        if not path.name.startswith((".", "__")) and path.name not in not_listed and path.suffix != ".egg-info"
    }
    assert listed == present


@pytest.mark.parametrize("readme", READMES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_paths_lead_somewhere(readme: Path) -> None:
    text = readme.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert target.startswith("https://") or (readme.parent / target).exists(), target
    for path in re.findall(r"`((?:tools|conf|utils|asr_dro|tests|docs)/[\w./-]*)`", text):
        assert (ROOT / path).exists(), path


def test_the_objectives_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """The README's first Python block is executed as it stands, with two batches of one language each."""
    torch = pytest.importorskip("torch")
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), flags=re.MULTILINE | re.DOTALL)
    losses = torch.tensor([3.0, 5.0], requires_grad=True)
    exec(blocks[0], {"batches": [(losses, torch.full((2,), group)) for group in (0, 1)]})
    assert losses.grad is not None
    assert "fin" in capsys.readouterr().out


def test_the_trainers_example_weights_the_loss() -> None:
    """The second block is executed too, with stand-ins for the parts that belong to the reader."""
    torch = pytest.importorskip("torch")
    from asr_dro.objectives import build_objective

    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), flags=re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {"Trainer": object, "per_utterance_ctc": lambda logits, labels: logits.sum(dim=1)}
    exec(blocks[1], names)

    class Model(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.objective = build_objective("ctc_dro", ["fin", "kat"])

        def forward(self, x: Any) -> Any:
            return SimpleNamespace(logits=x)

    inputs = {"x": torch.ones(3, 2), "groups": torch.zeros(3, dtype=torch.int64), "labels": None}
    loss, outputs = names["GroupRobustTrainer"]().compute_loss(Model(), inputs, return_outputs=True)
    assert loss.item() == 2.0, "uniform weights times the number of groups give the plain mean"
    assert outputs.logits.shape == (3, 2)
