#!/usr/bin/env bash
# Train, decode, score and report multilingual speech recognition, stage by stage.
#
#   ./run.sh                                    the mini corpus (made here, 6 languages) on the CPU, a few minutes
#   ./run.sh --objective ctc --seed 2           one choice changed; its results lie beside the others
#   ./run.sh --stage 5 --stop-stage 6           only decode and score
#   COMMON_VOICE=/corpora/cv-corpus-25.0 ./run.sh --corpus common_voice --lang-set fin,kat,spa --duration 1h
#
# Stages: 1 data, 2 tokens, 3 lengths, 4 train, 5 decode, 6 score, 7 report. Finished work is skipped; after a kill, the
# same command goes on. The first run installs what is needed into .venv. Results lie in exp/<tag>/ of the current folder.
set -euo pipefail
ASR_DRO_COMMAND=$(printf '%q ' "$0" "$@")
ASR_DRO_ROOT=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

# >>> options
stage=1              # first stage to run
stop_stage=7         # last stage to run
corpus=mini          # where speech comes from (db.sh) [mini|common_voice|ml_superb|manifest|hf_dataset]
lang_set=mini6       # languages: conf/lang_sets/<name>.txt, or codes such as fin,kat,spa
duration=all         # training audio per language: 10min, 1h, 9h, all; or another number of s, min or h
data_conf=default    # how the corpus is read, what labels hold: conf/data/<name>.yaml
model=separable_conv # network and optimiser: conf/model/<name>.yaml
objective=ctc        # loss and batches: conf/objective/<name>.yaml
decode=greedy        # search: conf/decode/<name>.yaml
seed=1               # of weights, batches and dropout
exp_tag=             # name of the experiment instead of <model>_<objective>_<lang_set>_s<seed> and the like
train_args=          # changes to the training configuration, e.g. "--max_epoch 2 --optim_conf lr=1e-3"
ngpu=0               # GPUs; 0 = CPU
nj=2                 # processes of stages 1 and 5
data_dir=data        # prepared data and tokens
exp_dir=exp          # experiments: checkpoints, hypotheses, scores, reports
# <<< options
. "${ASR_DRO_ROOT}/utils/parse_options.sh"
. "${ASR_DRO_ROOT}/utils/log.sh"
. "${ASR_DRO_ROOT}/utils/lang_set.sh"
. "${ASR_DRO_ROOT}/utils/launch.sh"
. "${ASR_DRO_ROOT}/db.sh"

# Every choice is checked before any work, and before the environment is needed.
((1 <= stage && stage <= stop_stage && stop_stage <= 7)) ||
  die "--stage ${stage} --stop-stage ${stop_stage}: stages go from 1 to 7, the first not after the last"
((nj >= 1)) || die "--nj 0: at least one process is needed"
[[ "${exp_tag}" != */* ]] || die "--exp-tag ${exp_tag}: a name, not a path (the folder is --exp-dir)"
[[ "${duration}" =~ ^(all|0*[1-9][0-9]*([.][0-9]+)?(s|min|h)|0+[.]0*[1-9][0-9]*(s|min|h))$ ]] ||
  die "--duration ${duration}: 10min, 1h, 9h, all, or another number above 0 followed by s, min or h"
check_lang_set "${lang_set}"
data_conf_file=$(find_conf data "${data_conf}")
((stage != 1)) || check_corpus "${corpus}"
find_conf model "${model}" >/dev/null
find_conf objective "${objective}" >/dev/null
decode_conf=$(find_conf decode "${decode}")
data_script=$(find_local data.sh)

label=$(data_label "${lang_set}" "${duration}" "${data_conf}")
set_dir="${data_dir}/${corpus}_${label}"
exp="${exp_dir}/${exp_tag:-${model}_${objective}_${label}_s${seed}}"
training=(--model "${model}" --objective "${objective}" --lang-set "${lang_set}" --seed "${seed}")
training+=("--train-args=${train_args}")

. "${ASR_DRO_ROOT}/path.sh"
export ASR_DRO_COMMAND # environment.json records it
if selected 1 || selected 4; then
  # Only checks: a typing error shows before hours of stage 1.
  python3 -m asr_dro.bin.compose_config "${training[@]}" --data-conf "${data_conf_file}"
fi
export ASR_DRO_FAILURE="${exp}/failure.json" # says how a run ended badly, until the next one goes on
rm -f -- "${ASR_DRO_FAILURE}"
trap 'explain_stop $?' EXIT

if selected 1; then
  log "Stage 1: data     ${corpus}, ${lang_set} -> ${set_dir}"
  bash "${data_script}" --corpus "${corpus}" --lang-set "${lang_set}" --duration "${duration}" \
    --data-conf "${data_conf}" --data-dir "${data_dir}" --nj "${nj}"
fi

if selected 2; then
  log "Stage 2: tokens   ${set_dir}/train/text -> ${set_dir}/tokens.txt"
  python3 -m asr_dro.bin.make_tokens --data "${set_dir}"
fi

if selected 3; then
  log "Stage 3: lengths  ${set_dir}/*/utt2dur -> ${set_dir}/*/utt2num_samples, token_ids, group_ids"
  python3 -m asr_dro.bin.make_lengths --data "${set_dir}"
fi

# -O spares ESPnet the compiling of its run-time type checks: importing it takes half of the time.
if selected 4; then
  log "Stage 4: train    ${model}, ${objective} -> ${exp}"
  python3 -m asr_dro.bin.compose_config "${training[@]}" --out "${exp}/train.yaml"
  launch "${ngpu}" asr_dro.bin.train --data "${set_dir}" --exp "${exp}"
fi

if selected 5; then
  again=() # who starts with stage 5 wants it done again; whoever passes by does not
  ((stage != 5)) || again=(--overwrite)
  log "Stage 5: decode   ${exp}/checkpoints -> ${exp}/decode_${decode}"
  python3 -O -m asr_dro.bin.decode --data "${set_dir}" --exp "${exp}" --decode "${decode_conf}" \
    --nj "${nj}" --ngpu "${ngpu}" "${again[@]}"
fi

if selected 6; then
  log "Stage 6: score    ${exp}/decode_${decode}/*/text -> scores.tsv, scores.json"
  python3 -m asr_dro.bin.score --data "${set_dir}" --exp "${exp}" --decode "${decode}"
fi

if selected 7; then
  log "Stage 7: report   ${exp} -> ${exp}/report.html"
  python3 -m asr_dro.bin.analyze --data "${set_dir}" --exp "${exp}" --decode "${decode}" --quiet
  python3 -m asr_dro.bin.report --data "${set_dir}" --exp "${exp}" --decode "${decode}"
  log "Done. Open ${exp}/report.html in a browser"
fi
