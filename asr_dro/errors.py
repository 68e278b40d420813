"""One kind of error for a user's mistake, and how the entry points show it."""

from __future__ import annotations

import contextlib
import datetime
import difflib
import json
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

logger = logging.getLogger(__name__)

EXIT_USER_ERROR = 2
EXIT_TRY_AGAIN = 75  # EX_TEMPFAIL of sysexits.h: stopped on request, the same command goes on
EXIT_INTERRUPTED = 130  # 128 + SIGINT, what a shell reports
FAILURE_VARIABLE = "ASR_DRO_FAILURE"  # file that says how a run ended; run.sh sets it


class UserError(Exception):
    """A mistake that the user can mend: the message says what was given, what is allowed and what to do."""


class InterruptedRun(Exception):  # noqa: N818  # not an error: what was asked for
    """The run was asked to stop and did, leaving all that the same command needs to go on."""


def unknown_keys(given: Iterable[object], known: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each key that is not known, with a hint for the message: the nearest known one, or else all of them."""
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            yield str(key), f"did you mean {near[0]}?" if near else f"allowed: {', '.join(known)}"


def first_of(names: Sequence[str], most: int = 5) -> str:
    """List names for a message: the first few, and how many more there are.

    >>> first_of(["fin", "kat", "tur"], most=2)
    'fin, kat and 1 more'
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def run_main(main: Callable[[], None]) -> None:
    """Run an entry point with logging set up; a ``UserError`` becomes one message and exit status 2.

    Args:
        main: The entry point's function without arguments.

    Raises:
        SystemExit: With status 2 after a ``UserError``, 75 after a request to stop, 130 after Ctrl-C, 1 after any error
            of the operating system.
    """
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s", stream=sys.stderr)
    try:
        main()
    except UserError as error:
        logger.error("%s", error)
        record_failure(error, EXIT_USER_ERROR)
        raise SystemExit(EXIT_USER_ERROR) from error
    except InterruptedRun as error:
        if os.environ.get("RANK", "0") == "0":  # of several processes one says it for all
            logger.warning("stopped on request: %s; the same command goes on from there", error)
        record_failure(error, EXIT_TRY_AGAIN)
        raise SystemExit(EXIT_TRY_AGAIN) from error
    except OSError as error:  # full disk, unreadable folder: the message names the file, a traceback would bury it
        logger.error("%s", error)
        record_failure(error, 1)
        raise SystemExit(1) from error
    except KeyboardInterrupt:
        raise SystemExit(EXIT_INTERRUPTED) from None
    except Exception as error:
        record_failure(error, 1)
        raise


def record_failure(error: Exception, status: int) -> None:
    """Write why a run ended to the file that ``ASR_DRO_FAILURE`` names, if its folder is there.

    Args:
        error: What ended it.
        status: The exit status.
    """
    path = Path(os.environ.get(FAILURE_VARIABLE, ""))
    if not path.name or not path.parent.is_dir():
        return
    text = str(error) if isinstance(error, UserError | InterruptedRun | OSError) else f"{type(error).__name__}: {error}"
    time = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    record = {"stage": os.environ.get("ASR_DRO_STAGE"), "status": status, "error": text, "time": time}
    with contextlib.suppress(OSError):  # a full disk is often the very reason
        path.write_text(json.dumps(record, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
