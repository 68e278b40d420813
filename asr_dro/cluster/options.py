"""The options of ``run.sh``, read from the script itself: they are declared there and nowhere else."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from asr_dro.errors import UserError
from asr_dro.repository import find_repository

_REPOSITORY = find_repository()  # not asr_dro.config's: submit.sh --help must do without packages
NOT_OF_A_GRID = ("stage", "stop_stage", "exp_tag")  # the grid itself decides these
_DECLARATION = re.compile(r"([a-z][a-z0-9_]*)=([^#]*?)\s*#\s*(.+)")


@dataclass(frozen=True)
class Option:
    """An option.

    Attributes:
        name: As in the script, ``lang_set``.
        default: What it is if it is not given.
        help: One line.
    """

    name: str
    default: str
    help: str

    @property
    def flag(self) -> str:
        """How it is typed, ``--lang-set``."""
        return "--" + self.name.replace("_", "-")


@lru_cache(maxsize=1)
def run_options() -> Mapping[str, Option]:
    """Return the options of run.sh by name, in the script's order."""
    text = (_REPOSITORY / "run.sh").read_text(encoding="utf-8")
    block = text.partition("# >>> options\n")[2].partition("# <<< options")[0]
    found = [_DECLARATION.fullmatch(line) for line in block.splitlines()]
    return {match[1]: Option(match[1], match[2], match[3]) for match in found if match}


def as_arguments(options: Mapping[str, str]) -> list[str]:
    """Write options as arguments of run.sh, one word each: a value may hold anything but what a list of jobs cannot.

    Raises:
        UserError: If a value has a line break, a tab or a zero byte.
    """
    if bad := [name for name, value in options.items() if set(value) & set("\n\r\t\0")]:
        raise UserError(f"values with line breaks or tabs cannot be passed on: {', '.join(map(flag_of, bad))}")
    return [f"{flag_of(name)}={value}" for name, value in options.items()]


def flag_of(name: str) -> str:
    """Return how an option is typed."""
    return "--" + name.replace("_", "-")


def data_labels(choices: Sequence[tuple[str, str, str]]) -> dict[tuple[str, str, str], str]:
    """Return the names that run.sh gives to sets of data, by its own rule (``data_label`` in utils/lang_set.sh).

    Args:
        choices: Language set, duration and data configuration of each.

    Returns:
        The label of each choice.
    """
    wanted = sorted(set(choices))
    script = '. "$0"; while (($#)); do data_label "$1" "$2" "$3"; shift 3; done'
    labels: list[str] = []
    for start in range(0, len(wanted), 1000):  # a command line has an end
        part = wanted[start : start + 1000]
        words = [word for choice in part for word in choice]
        command = ["bash", "-c", script, str(_REPOSITORY / "utils" / "lang_set.sh"), *words]
        result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        labels += result.stdout.splitlines()
    return dict(zip(wanted, labels, strict=True))
