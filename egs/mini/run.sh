#!/usr/bin/env bash
# The mini corpus: six languages spoken by eSpeak NG, a small CTC network, minutes on two CPU cores.
set -euo pipefail
cd "$(dirname "$0")"

exec ../../run.sh \
  --corpus mini \
  --lang-set mini6 \
  --model separable_conv \
  --objective ctc \
  "$@"
