#!/usr/bin/env bash
# The scores of all experiments in one table; options and folders are those of python3 -m asr_dro.bin.collect.
#
#   local/collect_scores.sh --best-on-dev --html scores.html exp
set -euo pipefail
ASR_DRO_ROOT=${ASR_DRO_ROOT:-$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)}
. "${ASR_DRO_ROOT}/path.sh"

exec python3 -m asr_dro.bin.collect "$@"
