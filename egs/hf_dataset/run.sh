#!/usr/bin/env bash
# A saved Hugging Face dataset: say which languages with --lang-set.
set -euo pipefail
cd "$(dirname "$0")"

exec ../../run.sh \
  --corpus hf_dataset \
  --model separable_conv \
  --objective ctc_dro \
  "$@"
