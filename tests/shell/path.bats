#!/usr/bin/env bats
# What path.sh and db.sh set.
# shellcheck disable=SC2154,SC2016  # sandbox.bash sets repo and calls; quoted dollars are test data

load sandbox

setup() {
  make_sandbox
  use_recorder
}

# after_path COMMAND: run it in a shell that has sourced path.sh.
after_path() {
  bash -c '. "$1/path.sh" || exit; eval "$2"' bash "${repo}" "$1"
}

@test "root, search paths, threads and text encoding" {
  [ "$(after_path 'echo "${ASR_DRO_ROOT}"')" = "${repo}" ]
  [ "$(after_path 'command -v python3')" = "${ASR_DRO_PYTHON}" ]
  [ "$(after_path 'echo "${OMP_NUM_THREADS} ${OMP_WAIT_POLICY} ${PYTHONUTF8}"')" = "1 PASSIVE 1" ]
  [ "$(PYTHONPATH=/mine after_path 'echo "${PYTHONPATH}"')" = "${repo}:/mine" ]
  [ "$(env -u PYTHONPATH bash -c '. "$1/path.sh"; echo "${PYTHONPATH}"' bash "${repo}")" = "${repo}" ]
  [ "$(LC_ALL=de_DE.UTF-8 after_path 'printf "%s\n" b a B | sort | tr -d "\n"')" = "Bab" ]
  if locale -a | grep -qi 'C.utf-\?8'; then
    [ "$(LC_ALL=POSIX after_path 'echo "${LC_ALL}"')" = "C.UTF-8" ]
  fi
}

@test "what the user has set stays" {
  [ "$(OMP_NUM_THREADS=4 OMP_WAIT_POLICY=ACTIVE after_path 'echo "${OMP_NUM_THREADS} ${OMP_WAIT_POLICY}"')" = "4 ACTIVE" ]
}

@test "what Python compiles is kept, though the container forbids it" {
  PYTHONDONTWRITEBYTECODE=1 after_path '[ -z "${PYTHONDONTWRITEBYTECODE+set}" ]'
}

@test "another environment must have a python3 of its own" {
  ASR_DRO_PYTHON=/nowhere/bin/python3 run -1 after_path true
  [[ "${output}" == *"ASR_DRO_PYTHON=/nowhere/bin/python3 is not an interpreter"* ]]
  mkdir other
  cp "${ASR_DRO_PYTHON}" other/python9
  ASR_DRO_PYTHON="${PWD}/other/python9" run -1 after_path true
  [ ! -s "${calls}" ]
}

@test "a repository below a folder with a colon is refused" {
  mkdir "${BATS_TEST_TMPDIR}/a:b"
  cp -R "${repo}" "${BATS_TEST_TMPDIR}/a:b"
  repo="${BATS_TEST_TMPDIR}/a:b/a repository" run -1 after_path true
  [[ "${output}" == *"colon"* ]]
}

@test "CDPATH and the current folder do not matter" {
  cd "${BATS_TEST_TMPDIR}"
  [ "$(CDPATH="${BATS_TEST_TMPDIR}" bash -c '. "a repository/path.sh"; echo "${ASR_DRO_ROOT}"')" = "${repo}" ]
  cd "${repo}/tools"
  [ "$(bash -c '. ../path.sh; echo "${ASR_DRO_ROOT}"')" = "${repo}" ]
}
