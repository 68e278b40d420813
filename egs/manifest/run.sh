#!/usr/bin/env bash
# Your own recordings, listed in JSON lines: say which languages with --lang-set.
set -euo pipefail
cd "$(dirname "$0")"

exec ../../run.sh \
  --corpus manifest \
  --model separable_conv \
  --objective ctc_dro \
  "$@"
