#!/usr/bin/env bats
# run.sh and the wrappers, with a recorder in the place of python3.
# shellcheck disable=SC2154,SC2016  # sandbox.bash sets repo and calls; quoted dollars are test data

load sandbox

setup() {
  make_sandbox
  use_recorder
}

all_stages="compose_config make_mini_corpus prepare_data make_tokens make_lengths compose_config train decode score analyze report"

@test "all stages, in order, with the default names" {
  run -0 "${repo}/run.sh"
  [ "$(modules)" = "${all_stages}" ]
  local set_dir=data/mini_mini6 exp=exp/separable_conv_ctc_mini6_s1
  grep -qxF "[-m][asr_dro.bin.make_mini_corpus][--lang-set][mini6][--out][${repo}/downloads/cv-corpus-mini][--nj][2]" "${calls}"
  grep -qxF "[-m][asr_dro.bin.make_tokens][--data][${set_dir}]" "${calls}"
  grep -qxF "[-m][asr_dro.bin.make_lengths][--data][${set_dir}]" "${calls}"
  grep -qxF "[-m][asr_dro.bin.compose_config][--model][separable_conv][--objective][ctc][--lang-set][mini6][--seed][1][--train-args=][--out][${exp}/train.yaml]" "${calls}"
  grep -qxF "[-O][-m][asr_dro.bin.train][--data][${set_dir}][--exp][${exp}][--ngpu][0]" "${calls}"
  grep -qxF "[-O][-m][asr_dro.bin.decode][--data][${set_dir}][--exp][${exp}][--decode][${repo}/conf/decode/greedy.yaml][--nj][2][--ngpu][0]" "${calls}"
  grep -qxF "[-m][asr_dro.bin.score][--data][${set_dir}][--exp][${exp}][--decode][greedy]" "${calls}"
  grep -qxF "[-m][asr_dro.bin.analyze][--data][${set_dir}][--exp][${exp}][--decode][greedy][--quiet]" "${calls}"
  grep -qxF "[-m][asr_dro.bin.report][--data][${set_dir}][--exp][${exp}][--decode][greedy]" "${calls}"
}

@test "each stage has a headline, in order, and the end says where the report is" {
  run -0 "${repo}/run.sh"
  [ "$(grep -oE 'Stage [1-7]: ' <<<"${output}" | tr -d '\n')" = "Stage 1: Stage 2: Stage 3: Stage 4: Stage 5: Stage 6: Stage 7: " ]
  [ "$(grep -cE 'Stage [1-7]: [a-z]+ .* -> ' <<<"${output}")" -eq 7 ]
  [[ "${lines[-1]}" == *"Open exp/separable_conv_ctc_mini6_s1/report.html"* ]]
}

@test "stage selection" {
  run -0 "${repo}/run.sh" --stage 5 --stop-stage 6
  [ "$(modules)" = "decode score" ]
  : >"${calls}"
  run -0 "${repo}/run.sh" --stop_stage=1
  [ "$(modules)" = "compose_config make_mini_corpus prepare_data" ]
  : >"${calls}"
  run -0 "${repo}/run.sh" --stage 7
  [ "$(modules)" = "analyze report" ]
  : >"${calls}"
  run -0 "${repo}/run.sh" --stage 4 --stop-stage 4
  [ "$(modules)" = "compose_config compose_config train" ]
}

@test "a wrong stage number is refused before any work" {
  for arguments in "--stage 0" "--stage 8" "--stop-stage 8" "--stage 3 --stop-stage 2"; do
    # shellcheck disable=SC2086  # two or four arguments
    run -2 "${repo}/run.sh" ${arguments}
    [[ "${output}" == *"stages go from 1 to 7"* ]]
  done
  run -2 "${repo}/run.sh" --nj 0
  [ ! -s "${calls}" ]
}

@test "options reach the stages, a value with quotes and commands as one argument" {
  local value='--optim_conf lr=1e-3 "x y" $(touch evaluated)'
  run -0 "${repo}/run.sh" --seed 7 --ngpu 2 --nj 3 --exp-tag mine --data-dir "my data" --exp-dir "my exp" --train-args "${value}"
  grep -qF "[--seed][7][--train-args=${value}][--out][my exp/mine/train.yaml]" "${calls}"
  grep -qF "[-m][torch.distributed.run][--standalone][--nproc-per-node][2][-m][asr_dro.bin.train][--data][my data/mini_mini6][--exp][my exp/mine][--ngpu][1]" "${calls}"
  grep -qF "[--nj][3][--ngpu][2]" "${calls}"
  grep -qF "[--data-dir][my data][--name][mini_mini6][--nj][3]" "${calls}"
  [ ! -e evaluated ]
}

@test "a wrong name lists the right ones, without the environment" {
  unset ASR_DRO_PYTHON
  local choice axis option
  for choice in model/separable_conv objective/ctc decode/greedy data/default; do
    axis=${choice%/*} option=${choice%/*}
    [[ "${axis}" != data ]] || option=data-conf
    run -2 "${repo}/run.sh" "--${option}" nonsense
    [[ "${output}" == *"no ${axis} 'nonsense'"*"there are: "*"${choice#*/}"* ]]
    run -2 "${repo}/run.sh" "--${option}" "../${choice}"
  done
  run -2 "${repo}/run.sh" --model ""
  run -2 "${repo}/run.sh" --lang-set mini7
  [[ "${output}" == *"--lang-set 'mini7': no language set has this name"*"sets: "*mini6* ]]
  run -2 "${repo}/run.sh" --exp-tag a/b
  run -2 "${repo}/run.sh" --corpus librispeech
  [ ! -s "${calls}" ]
  [ ! -e "${repo}/.venv" ]
}

@test "language sets as codes: checked, sorted and shortened in names" {
  run -0 "${repo}/run.sh" --stop-stage 2 --lang-set spa,fin
  grep -qF "[--lang-set][spa,fin]" "${calls}"
  grep -qF "[asr_dro.bin.make_tokens][--data][data/mini_fin+spa]" "${calls}"
  run -0 "${repo}/run.sh" --stage 2 --stop-stage 2 --lang-set fin
  grep -qF "[data/mini_fin]" "${calls}"
  run -0 "${repo}/run.sh" --stage 2 --stop-stage 2 --lang-set bul,ces,dan,deu,ell,eng,fin,fra,hin,hun,ita
  grep -qE "\[data/mini_11languages_[0-9a-f]{8}\]" "${calls}"
  for wrong in fin,xx "fin," ",fin" fin,,spa qqq "fin spa" ""; do
    run -2 "${repo}/run.sh" --lang-set "${wrong}"
    [[ "${output}" == *mini6* ]]
  done
}

@test "an unknown language is answered with the likeliest codes" {
  local asked expected
  while read -r asked expected; do
    run -2 "${repo}/run.sh" --lang-set "${asked}"
    [[ "${output}" == *"${expected}"* ]]
  done <<'EOF'
FIN no language is called "FIN" (nearest: fin)
de-DE no language is called "de-DE" (nearest: de)
english no language is called "english" (nearest: eng)
englsh no language is called "englsh" (nearest: eng)
zh no language is called "zh" (nearest: zh-CN, zh-TW, zh-HK)
fin,ZH_tw,es,jp no language is called "ZH_tw" (nearest: zh-CN, zh-TW, zh-HK), "jp" (nearest:
fin,a\tb,*,fi no language is called "a\tb", "*" (nearest:
EOF
  run -0 "${repo}/run.sh" --stage 2 --stop-stage 2 --lang-set org_jpn,sv-SE,lga
  grep -qF "[data/mini_lga+org_jpn+sv-SE]" "${calls}"
}

@test "duration and data configuration are in the names and reach stage 1" {
  mkdir -p conf/data
  echo "train: validated" >conf/data/ours.yaml
  run -0 "${repo}/run.sh" --duration 10min --data-conf ours --lang-set fin
  local name=mini_fin_10min_ours exp=exp/separable_conv_ctc_fin_10min_ours_s1
  grep -qF "[--train-args=][--data-conf][conf/data/ours.yaml]" "${calls}"
  grep -qF "[--duration][10min][--data-conf][conf/data/ours.yaml][--data-dir][data][--name][${name}][--nj][2]" "${calls}"
  grep -qxF "[-m][asr_dro.bin.make_tokens][--data][data/${name}]" "${calls}"
  grep -qF "[asr_dro.bin.train][--data][data/${name}][--exp][${exp}]" "${calls}"
  grep -qF "[--lang-set][fin][--seed][1][--train-args=][--out][${exp}/train.yaml]" "${calls}"
  run -0 "${repo}/run.sh" --duration 0.5h --stage 2 --stop-stage 2
  grep -qF "[data/mini_mini6_0.5h]" "${calls}"
  run -0 "${repo}/run.sh" --data-conf ours --stage 2 --stop-stage 2
  grep -qF "[data/mini_mini6_ours]" "${calls}"
}

@test "a wrong duration is refused before any work, with what is allowed" {
  local wrong
  for wrong in 1hr 10 0h 0.0min -1h 1.h .5h "1 h" 1H ALL "" '1h;x' '1h
2h' ../1h; do
    run -2 "${repo}/run.sh" "--duration=${wrong}"
    [[ "${output}" == *"--duration ${wrong}: 10min, 1h, 9h, all, or another number"* ]]
  done
  [ ! -s "${calls}" ]
}

@test "a corpus that is not there is refused before any work, with where to get it" {
  local corpus variable
  for corpus in common_voice ml_superb manifest hf_dataset; do
    variable=${corpus^^}
    run -2 "${repo}/run.sh" --corpus "${corpus}"
    [[ "${output}" == *"--corpus ${corpus}: ${variable} is not set; set it in db.sh or export it: ${variable}="* ]]
    [[ "${output}" == *"${variable} names "* ]]
    export "${variable}=/nowhere/at all"
    run -2 "${repo}/run.sh" --corpus "${corpus}"
    [[ "${output}" == *"${variable}='/nowhere/at all' is not there"* ]]
    run -2 bash "${repo}/local/data.sh" --corpus "${corpus}"
    [[ "${output}" == *"${variable}='/nowhere/at all' is not there"* ]]
  done
  [ ! -s "${calls}" ]
  run -2 "${repo}/run.sh" --corpus common_voice
  [[ "${output}" == *"Mozilla Data Collective"*"Licence: CC0-1.0"* ]]
  run -2 "${repo}/run.sh" --corpus ml_superb
  [[ "${output}" == *"ftshijt/mlsuperb_8th"*"espnet/ml_superb_hf"*"Licence: "* ]]
}

@test "a corpus may be a folder or a file, and is asked for in stage 1 only" {
  mkdir -p "a release"
  COMMON_VOICE="a release" run -0 "${repo}/run.sh" --corpus common_voice --stop-stage 2 --lang-set fin
  grep -qF "[--corpus][common_voice][--source][a release][--lang-set][fin]" "${calls}"
  grep -qF "[data/common_voice_fin]" "${calls}"
  touch "a release/fi.tar.gz" mine.jsonl
  COMMON_VOICE="a release/fi.tar.gz" run -0 "${repo}/run.sh" --corpus common_voice --stop-stage 1 --lang-set fin
  grep -qF "[--source][a release/fi.tar.gz]" "${calls}"
  MANIFEST=mine.jsonl run -0 "${repo}/run.sh" --corpus manifest --stop-stage 1 --lang-set fin
  grep -qF "[--corpus][manifest][--source][mine.jsonl][--lang-set][fin]" "${calls}"
  run -0 "${repo}/run.sh" --corpus ml_superb --stage 5 --lang-set ctc_dro_set1
  grep -qF "[data/ml_superb_ctc_dro_set1]" "${calls}"
}

@test "an exported corpus variable wins" {
  MINI="my corpus" run -0 "${repo}/run.sh" --stop-stage 1
  grep -qF "[--out][my corpus]" "${calls}"
  grep -qF "[--source][my corpus]" "${calls}"
}

@test "a failing stage ends the run, names itself and keeps the status" {
  FAIL_AT=make_lengths run -1 "${repo}/run.sh"
  [[ "${output}" == *"Stopped in stage 3 (exit status 1)"* ]]
  [[ "$(modules)" != *train* ]]
  : >"${calls}"
  FAIL_AT=make_mini_corpus run -1 "${repo}/run.sh"
  [ "$(modules)" = "compose_config make_mini_corpus" ]
}

@test "an experiment keeps why its last run ended, until it goes on" {
  local failure=exp/mine/failure.json
  mkdir -p exp/mine
  FAIL_AT=make_lengths run -1 "${repo}/run.sh" --exp-tag mine
  python3 -c 'import json, sys; f = json.load(open(sys.argv[1])); assert (f["stage"], f["status"]) == ("3", 1), f' "${failure}"
  FAIL_AT=prepare_data run -1 "${repo}/run.sh" --exp-tag mine
  grep -qF '"stage": "1"' "${failure}"
  run -0 "${repo}/run.sh" --exp-tag mine
  [ ! -e "${failure}" ]
  FAIL_AT=make_lengths run -1 "${repo}/run.sh" --exp-tag new
  [ ! -e exp/new ]
}

@test "a configuration error shows before stage 1" {
  export FAIL_AT=compose_config
  run -1 "${repo}/run.sh" --train-args "--max_epochs 3"
  [ "$(cat "${calls}")" = "[-m][asr_dro.bin.compose_config][--model][separable_conv][--objective][ctc][--lang-set][mini6][--seed][1][--train-args=--max_epochs 3][--data-conf][${repo}/conf/data/default.yaml]" ]
  run -1 "${repo}/run.sh" --stop-stage 1 --train-args "--max_epochs 3"
  [[ "$(modules)" != *make_mini_corpus* ]]
}

@test "help takes its text from the script and needs nothing installed" {
  unset ASR_DRO_PYTHON
  run -0 "${repo}/run.sh" --help
  [ "${lines[0]}" = "$(sed -n '2s/^# //p' "${repo}/run.sh")" ]
  for option in stage stop-stage lang-set duration data-conf model objective decode seed train-args ngpu nj; do
    [[ "${output}" == *"  --${option} "* ]]
  done
  [ ! -e "${repo}/.venv" ]
}

@test "a recipe works in its own folder, passes its arguments on, and they win" {
  mkdir elsewhere && cd elsewhere
  run -0 "${repo}/egs/mini/run.sh" --seed 3 --stage 3 --stop-stage 4 --train-args "a b"
  [ "$(modules)" = "compose_config make_lengths compose_config train" ]
  grep -qF "[--seed][3][--train-args=a b][--out][exp/separable_conv_ctc_mini6_s3/train.yaml]" "${calls}"
  run -0 "${repo}/egs/mini/run.sh" --stage 2 --stop-stage 2 --lang-set fin
  grep -qF "[data/mini_fin]" "${calls}"
  FAIL_AT=make_tokens run -1 "${repo}/egs/mini/run.sh" --stage 2 --stop-stage 2
  run -2 "${repo}/egs/mini/run.sh" --no-such-option 1
}

@test "a recipe's own files win over the shared ones" {
  mkdir -p conf/decode conf/lang_sets local
  echo "search: greedy" >conf/decode/greedy.yaml
  echo fin >conf/lang_sets/tiny.txt
  printf 'echo "own data script: $*"\n' >local/data.sh
  run -0 "${repo}/run.sh" --lang-set tiny
  grep -qF "[--decode][conf/decode/greedy.yaml]" "${calls}"
  grep -qF "[data/mini_tiny]" "${calls}"
  [[ "${output}" == *"own data script: --corpus mini --lang-set tiny --duration all --data-conf default --data-dir data"* ]]
  [[ "$(modules)" != *make_mini_corpus* ]]
}

@test "who starts with stage 5 decodes again; who passes by does not" {
  run -0 "${repo}/run.sh" --stage 5
  grep -q '\[asr_dro.bin.decode\].*\[--overwrite\]' "${calls}"
  : >"${calls}"
  run -0 "${repo}/run.sh" --stage 4
  grep -q '\[asr_dro.bin.decode\]' "${calls}"
  run ! grep -q -- '--overwrite' "${calls}"
}
