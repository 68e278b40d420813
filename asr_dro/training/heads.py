"""The heads of a model and how their losses are mixed: CTC, a decoder, or both (a hybrid; Watanabe et al. 2017).

The keys are ESPnet's: ``model_conf: {ctc_weight: ..., lsm_weight: ...}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from asr_dro.config_values import is_number
from asr_dro.errors import UserError

WHISPER = "whisper"
_DEFAULT_CTC_WEIGHT = 0.3  # of a hybrid, as in most of ESPnet's recipes
_KEYS = ("ctc_weight", "lsm_weight")


def read_heads(config: Mapping[str, Any]) -> dict[str, float]:
    """Return ``ctc_weight``, the share of CTC in an utterance's loss, and ``lsm_weight``, the label smoothing.

    Args:
        config: Composed configuration.

    Raises:
        UserError: With every mistake.
    """
    decoder, given = config.get("decoder"), config.get("model_conf") or {}
    problems = [f"model_conf: {key} is not a key; allowed: {', '.join(_KEYS)}" for key in given if key not in _KEYS]
    default = 1.0 if decoder is None else 0.0 if decoder == WHISPER else _DEFAULT_CTC_WEIGHT
    values = {"ctc_weight": given.get("ctc_weight", default), "lsm_weight": given.get("lsm_weight", 0.0)}
    wrong = [key for key, value in values.items() if not _is_share(value)]
    problems += [f"model_conf: {key} must be a number from 0 to 1, not {values[key]!r}" for key in wrong]
    if not wrong:
        problems += _contradictions(decoder, **values)
    if problems:
        raise UserError("\n".join(problems))
    return {key: float(value) for key, value in values.items()}


def _is_share(value: object) -> bool:
    return is_number(value) and 0 <= value <= 1


def _contradictions(decoder: str | None, ctc_weight: float, lsm_weight: float) -> list[str]:
    """List weights that do not go with the heads."""
    problems = []
    if decoder is None and ctc_weight != 1:
        problems.append(f"model_conf: ctc_weight is {ctc_weight}, but there is no decoder: choose one, or leave it out")
    if decoder is None and lsm_weight:
        problems.append("model_conf: lsm_weight smooths a decoder's labels, and there is no decoder")
    if decoder == WHISPER and ctc_weight:
        problems.append(
            f"model_conf: ctc_weight is {ctc_weight}, but decoder {WHISPER} has no CTC beside it; leave it out"
        )
    if decoder == WHISPER and lsm_weight:
        problems.append(f"model_conf: decoder {WHISPER} has decoder_conf.loss.label_smoothing in place of lsm_weight")
    if decoder not in (None, WHISPER) and ctc_weight == 1:
        problems.append(
            f"model_conf: ctc_weight is 1, which leaves nothing for decoder {decoder}: choose less, or decoder null"
        )
    if decoder is not None and lsm_weight == 1:
        problems.append("model_conf: lsm_weight is 1, which leaves nothing of the labels: choose less")
    return problems
