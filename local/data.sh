#!/usr/bin/env bash
# Stage 1: a corpus -> 16 kHz audio and data directories in DATA_DIR/<corpus>_<lang set>... run.sh calls it.
#
#   local/data.sh --corpus common_voice --lang-set fin,kat,spa --duration 1h --nj 8
set -euo pipefail
ASR_DRO_ROOT=${ASR_DRO_ROOT:-$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)}

# >>> options
corpus=mini       # where speech comes from (db.sh) [mini|common_voice|ml_superb|manifest|hf_dataset]
lang_set=mini6    # languages: conf/lang_sets/<name>.txt, or codes such as fin,kat,spa
duration=all      # training audio per language: 10min, 1h, 9h, all; or another number of s, min or h
data_conf=default # how the corpus is read: conf/data/<name>.yaml
data_dir=data     # folder of all prepared data
nj=2              # processes
# <<< options
. "${ASR_DRO_ROOT}/utils/parse_options.sh"
. "${ASR_DRO_ROOT}/utils/log.sh"
. "${ASR_DRO_ROOT}/utils/lang_set.sh"
. "${ASR_DRO_ROOT}/db.sh"

check_corpus "${corpus}"
variable=${corpus^^} # db.sh has one for each corpus: mini -> MINI
name=${corpus}_$(data_label "${lang_set}" "${duration}" "${data_conf}")
data_conf_file=$(find_conf data "${data_conf}")
. "${ASR_DRO_ROOT}/path.sh"

if [[ "${corpus}" == mini ]]; then
  python3 -m asr_dro.bin.make_mini_corpus --lang-set "${lang_set}" --out "${MINI}" --nj "${nj}"
fi
python3 -m asr_dro.bin.prepare_data --corpus "${corpus}" --source "${!variable}" --lang-set "${lang_set}" \
  --duration "${duration}" --data-conf "${data_conf_file}" --data-dir "${data_dir}" --name "${name}" --nj "${nj}"
