#!/usr/bin/env bats
# The contract of utils/parse_options.sh, on a script of its own.
# shellcheck disable=SC2154,SC2016  # sandbox.bash sets repo and calls; quoted dollars are test data

load sandbox

setup() {
  make_sandbox
  cat >script.sh <<EOF
#!/usr/bin/env bash
# Says what it was given.
#   script.sh --stage 2

# Not part of the header.
set -euo pipefail
# >>> options
stage=1     # first stage
corpus=mini # where speech comes from [mini|common_voice]
dev=false   # more tools
train_args= # passed on
# <<< options
. "${repo}/utils/parse_options.sh"
printf '<%s>' "\${stage}" "\${corpus}" "\${dev}" "\${train_args}"
EOF
}

# refused MESSAGE ARGUMENT...: the script must leave with status 2 and a message that contains MESSAGE.
refused() {
  local message=$1
  shift
  run -2 bash script.sh "$@"
  echo "${output}"
  [[ "${output}" == *"script.sh: error: "*"${message}"* ]]
  [[ "${output}" != *'<'*'>'* ]]
}

@test "defaults stay when nothing is given" {
  run -0 bash script.sh
  [ "${output}" = '<1><mini><false><>' ]
}

@test "hyphens, underscores, equals signs and repeated options" {
  run -0 bash script.sh --stage=5 --train_args a --corpus common_voice --train-args "b c=d"
  [ "${output}" = '<5><common_voice><false><b c=d>' ]
}

@test "an option without a number as default takes a number and then text" {
  run -0 bash script.sh --train-args 5 --train-args text
  [ "${output}" = '<1><mini><false><text>' ]
}

@test "a switch alone, with a value, before another option" {
  run -0 bash script.sh --dev --stage 2
  [ "${output}" = '<2><mini><true><>' ]
  run -0 bash script.sh --dev false --stage 3
  [ "${output}" = '<3><mini><false><>' ]
  run -0 bash script.sh --dev=true
  [ "${output}" = '<1><mini><true><>' ]
  refused "--dev takes true or false, not 'maybe'" --dev=maybe
}

@test "help has the header, each option with its default, and nothing else" {
  run -0 bash script.sh --stage 3 --help
  [ "${lines[0]}" = "Says what it was given." ]
  [ "${lines[1]}" = "  script.sh --stage 2" ]
  [[ "${output}" == *"--corpus text      where speech comes from [mini|common_voice] (default: mini)"* ]]
  [[ "${output}" == *"--train-args text  passed on"* ]]
  [[ "${output}" != *"Not part of the header"* ]]
  run -0 bash script.sh -h
  [[ "${output}" == "Says what"* ]]
}

@test "unknown options are refused, naming the nearest" {
  refused "no option --stag; did you mean --stage?" --stag 2
  refused "no option --trian-args; did you mean --train-args?" --trian_args=2
  refused "no option --PATH " --PATH /nowhere
  refused "no option --xyzzy (--help" --xyzzy 1
  refused "no option --po-names" --po_names x
  refused "no option --a[0" '--a[0$(touch evaluated)]' 1
  [ ! -e evaluated ]
}

@test "a missing value is refused, at the end and before another option" {
  refused "--stage lacks its value" --corpus mini --stage
  refused "--train-args lacks its value" --train-args --stage 3
  refused "--train-args lacks its value" --train-args --help
}

@test "an empty value is a value, and so is one that begins with hyphens" {
  run -0 bash script.sh --train-args ""
  [ "${output}" = '<1><mini><false><>' ]
  run -0 bash script.sh --train-args "--max_epoch 2" --stage 4
  [ "${output}" = '<4><mini><false><--max_epoch 2>' ]
  run -0 bash script.sh --train-args=--stage
  [ "${output}" = '<1><mini><false><--stage>' ]
}

@test "wrong types and choices are refused" {
  refused "--stage takes a whole number from 0 on, not 'abc'" --stage abc
  refused "not '-1'" --stage -1
  refused "not '1.5'" --stage=1.5
  refused "not '08'" --stage 08
  refused "not ''" --stage ""
  refused "not '12345678901234567890'" --stage 12345678901234567890
  refused "--corpus takes one of mini, common_voice, not 'librispeech'" --corpus librispeech
  refused "takes one of" --corpus 'mini|common_voice'
}

@test "surplus arguments are refused" {
  refused "'surplus' belongs to no option" --stage 2 surplus
  refused "'-s' belongs to no option" -s 2
  refused "'--' belongs to no option" --
  refused "'' belongs to no option" ""
}

@test "a value is never evaluated" {
  local value
  value=$(printf '$(touch evaluated) `touch evaluated` ${HOME} "quoted'"'"' \\ * ; touch evaluated\n second line & x')
  run -0 bash script.sh --train-args "${value}"
  [ "${output}" = "<1><mini><false><${value}>" ]
  run -0 bash script.sh "--train-args=${value}"
  [ "${output}" = "<1><mini><false><${value}>" ]
  [ ! -e evaluated ]
}

@test "an option without help is the author's mistake" {
  sed -i 's/^dev=false.*/dev=false/' script.sh
  run -2 bash script.sh
  [[ "${output}" == *"not 'name=default  # help': dev=false"* ]]
}
