"""One kind of error for a user's mistake, and how the entry points show it."""

from __future__ import annotations

import difflib
import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence

logger = logging.getLogger(__name__)

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130  # 128 + SIGINT, what a shell reports


class UserError(Exception):
    """A mistake that the user can mend: the message says what was given, what is allowed and what to do."""


def unknown_keys(given: Iterable[object], known: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each key that is not known, with a hint for the message: the nearest known one, or else all of them."""
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            yield str(key), f"did you mean {near[0]}?" if near else f"allowed: {', '.join(known)}"


def run_main(main: Callable[[], None]) -> None:
    """Run an entry point with logging set up; a ``UserError`` becomes one message and exit status 2.

    Args:
        main: The entry point's function without arguments.

    Raises:
        SystemExit: With status 2 after a ``UserError``, 130 after Ctrl-C, 1 after any error of the operating system.
    """
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s", stream=sys.stderr)
    try:
        main()
    except UserError as error:
        logger.error("%s", error)
        raise SystemExit(EXIT_USER_ERROR) from error
    except OSError as error:  # full disk, unreadable folder: the message names the file, a traceback would bury it
        logger.error("%s", error)
        raise SystemExit(1) from error
    except KeyboardInterrupt:
        raise SystemExit(EXIT_INTERRUPTED) from None
