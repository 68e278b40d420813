"""How ``--help`` of the entry points looks."""

from __future__ import annotations

import argparse


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows defaults that say something: not ``None``, nor that a switch is off."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.required or action.default is None or action.default is False or action.default in ((), []):
            return action.help
        return super()._get_help_string(action)
