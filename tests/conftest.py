"""The order of the tests: files that take long begin first, so that no process ends with one while the others rest.

And ESPnet as run.sh has it under ``python -O``: without checks of types, which take half of its import.
"""

from __future__ import annotations

from typing import Any

import pytest
import typeguard

SLOW_FILES = ("test_on_slurm.py", "test_end_to_end.py", "test_models.py", "test_mini.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in SLOW_FILES)


def unchecked(function: Any = None, **_options: Any) -> Any:
    """Stand in for typeguard's decorator, which does nothing under ``-O`` either; tests need Python's assertions."""
    return function or unchecked


setattr(typeguard, "typechecked", unchecked)  # noqa: B010  # of another type than the decorator
