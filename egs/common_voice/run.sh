#!/usr/bin/env bash
# Common Voice: five languages, all validated clips, at most 9 hours of each, and the objective for the weakest.
set -euo pipefail
cd "$(dirname "$0")"

exec ../../run.sh \
  --corpus common_voice \
  --lang-set five \
  --duration 9h \
  --data-conf validated \
  --model separable_conv \
  --objective ctc_dro \
  "$@"
