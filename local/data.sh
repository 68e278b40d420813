#!/usr/bin/env bash
# Stage 1: a corpus -> 16 kHz audio and data directories in DATA_DIR/<corpus>_<lang set>. run.sh calls it.
#
#   local/data.sh --corpus common_voice --lang-set fin,kat,spa --data-dir data --nj 8
set -euo pipefail
ASR_DRO_ROOT=${ASR_DRO_ROOT:-$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)}

# >>> options
corpus=mini    # where speech comes from; db.sh says where it lies [mini|common_voice]
lang_set=mini6 # languages: conf/lang_sets/<name>.txt, or codes such as fin,kat,spa
data_dir=data  # folder of all prepared data
nj=2           # processes
# <<< options
. "${ASR_DRO_ROOT}/utils/parse_options.sh"
. "${ASR_DRO_ROOT}/utils/log.sh"
. "${ASR_DRO_ROOT}/utils/lang_set.sh"
. "${ASR_DRO_ROOT}/db.sh"

variable=${corpus^^} # db.sh has one variable for each corpus: mini -> MINI
[[ -n "${!variable:-}" ]] ||
  die "--corpus ${corpus}: ${variable} is not set; set it in db.sh or export it, e.g. ${variable}=/corpora/${corpus}"
name=${corpus}_$(lang_label "${lang_set}")
. "${ASR_DRO_ROOT}/path.sh"

if [[ "${corpus}" == mini ]]; then
  python3 -m asr_dro.bin.make_mini_corpus --lang-set "${lang_set}" --out "${MINI}" --nj "${nj}"
fi
python3 -m asr_dro.bin.prepare_data --corpus "${corpus}" --source "${!variable}" --lang-set "${lang_set}" \
  --data-dir "${data_dir}" --name "${name}" --nj "${nj}"
