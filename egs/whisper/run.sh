#!/usr/bin/env bash
# Whisper, encoder and decoder: the first set of the CTC-DRO paper, one hour for each of six languages.
set -euo pipefail
cd "$(dirname "$0")"

exec ../../run.sh \
  --corpus ml_superb \
  --lang-set ctc_dro_set1 \
  --duration 1h \
  --data-conf whisper \
  --model whisper \
  --objective ctc_dro \
  "$@"
