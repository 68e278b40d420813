# shellcheck shell=bash
# shellcheck disable=SC2154  # bats sets its folders
# A sandbox for each test: the repository's shell in a folder with spaces, and a recorder in the place of python3.

bats_require_minimum_version 1.5.0

# make_sandbox: copy the shell, conf and egs into ${repo} and go to another folder, ${work}.
make_sandbox() {
  local source_root file
  source_root=$(cd "${BATS_TEST_DIRNAME}/../.." && pwd)
  repo="${BATS_TEST_TMPDIR}/a repository"
  work="${BATS_TEST_TMPDIR}/the user's work"
  calls="${BATS_TEST_TMPDIR}/calls"
  export CALLS=${calls}
  mkdir -p "${repo}/asr_dro/data" "${work}"
  : >"${calls}"
  cd "${source_root}" || return 1
  cp -R run.sh path.sh db.sh utils tools conf local "${repo}"
  cp asr_dro/data/languages.tsv "${repo}/asr_dro/data"
  for file in egs/*/*.* egs/*/conf egs/*/local; do
    [[ ! -e "${file}" ]] || { mkdir -p "${repo}/$(dirname "${file}")" && cp -R "${file}" "${repo}/${file}"; }
  done
  unset MINI COMMON_VOICE ML_SUPERB MANIFEST HF_DATASET ASR_DRO_PYTHON ASR_DRO_ROOT OMP_NUM_THREADS
  cd "${work}" || return 1
}

# use_recorder: scripts find a python3 that notes its arguments in ${calls}, one call per line, each argument in
# brackets; it fails in the call whose arguments contain ${FAIL_AT}.
use_recorder() {
  local bin="${BATS_TEST_TMPDIR}/an environment/bin"
  mkdir -p "${bin}"
  cat >"${bin}/python3" <<'EOF'
#!/usr/bin/env bash
printf '[%s]' "$@" >>"${CALLS}"
printf '\n' >>"${CALLS}"
[[ -z "${FAIL_AT:-}" || "$*" != *"${FAIL_AT}"* ]]
EOF
  chmod +x "${bin}/python3"
  export ASR_DRO_PYTHON="${bin}/python3"
}

# modules: the modules that were called, without the package, in one line.
modules() {
  sed -E 's/^(\[-O\])?\[-m\]\[asr_dro\.bin\.([a-z_]+)\].*/\2/' "${calls}" | paste -sd ' '
}
