"""The order of the tests: files that take long begin first, so that no process ends with one while the others rest."""

from __future__ import annotations

import pytest

SLOW_FILES = ("test_end_to_end.py", "test_models.py", "test_mini.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in SLOW_FILES)
