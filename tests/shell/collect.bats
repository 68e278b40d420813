#!/usr/bin/env bats
# local/collect_scores.sh hands everything on as it is.
# shellcheck disable=SC2154,SC2016  # sandbox.bash sets repo and calls; quoted dollars are test data

load sandbox

setup() {
  make_sandbox
  use_recorder
}

@test "folders and options go to Python verbatim, from any folder" {
  run -0 bash "${repo}/local/collect_scores.sh" 'my exp' --html '$(touch evaluated).html' --compare "a b" ''
  [ "$(cat "${calls}")" = '[-m][asr_dro.bin.collect][my exp][--html][$(touch evaluated).html][--compare][a b][]' ]
  [ ! -e evaluated ]
}

@test "its exit status is that of Python" {
  FAIL_AT=collect run -1 bash "${repo}/local/collect_scores.sh"
}
