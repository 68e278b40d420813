#!/usr/bin/env bash
# ML-SUPERB 2.0: 143 languages, one hour of training for each of their corpora; language and text together.
set -euo pipefail
cd "$(dirname "$0")"

exec ../../run.sh \
  --corpus ml_superb \
  --lang-set all143 \
  --duration 1h \
  --data-conf ml_superb \
  --model separable_conv \
  --objective ctc \
  "$@"
