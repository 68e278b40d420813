"""The frame of every HTML page of this repository: one file, one style sheet, nothing loaded from anywhere.

A page's template extends ``base.html`` and fills its blocks ``title`` and ``body``. Its scripts are part of the file,
and the content policy names their hash, so that no text on a page can run.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

TEMPLATES = Path(__file__).parent / "templates"


def render_page(
    template: str, context: Mapping[str, Any], *, scripts: Sequence[str] = ("table.js",), folder: Path | None = None
) -> str:
    """Fill a template.

    Args:
        template: Name of its file.
        context: What the template shows; ``style``, ``script`` and ``script_hash`` are added.
        scripts: Names of files of this package's ``templates/``, run in this order.
        folder: Where the template lies if not in this package's ``templates/``, which it may extend and include.

    Returns:
        The whole HTML document.
    """
    # Here, not above: a page that is up to date must not pay for the imports.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    from asr_dro.report import formats

    environment = Environment(
        loader=FileSystemLoader([folder, TEMPLATES] if folder else TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    writers: tuple[Callable[..., Any], ...] = (
        *(formats.percent, formats.significant, formats.count, formats.duration, formats.name_of),
        *(formats.interval_text, formats.script_of_language, formats.breakable),
    )
    environment.filters.update({writer.__name__: writer for writer in writers})
    script = "".join((TEMPLATES / name).read_text(encoding="utf-8") for name in scripts)
    return environment.get_template(template).render(
        context,
        style=Markup((TEMPLATES / "report.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
