#!/usr/bin/env bash
# Run every check: lint, layout, types and spelling of Python and shell, then the tests of both.
#
#   tools/test.sh                          all of them, in a few minutes; installs what it needs first
#   tools/test.sh --only ruff,shellcheck   some of them
#   tools/test.sh --list                   their names
#
# All checks run even when one fails. The last line counts: each test of bats and pytest, each other check as one.
set -uo pipefail
root=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)

# >>> options
only=      # names of checks, separated by commas; empty = all
list=false # print the names of the checks
nj=2       # processes of pytest
# <<< options
. "${root}/utils/parse_options.sh"
. "${root}/utils/log.sh"

shopt -s nullglob globstar
cd "${root}" || exit 1
checks=(ruff format codespell shellcheck shfmt bats mypy pytest)
shell_files=(*.sh .ci/run {egs,local,utils,tools,tests,docs}/**/*.{sh,bash,bats})
passed=0 failed=0 summary=()

check_ruff() { ruff check .; }
check_format() { ruff format --check .; }
check_codespell() { codespell; }
check_shellcheck() { shellcheck -x "${shell_files[@]}"; }
check_shfmt() { shfmt -d -i 2 -ci "${shell_files[@]}"; }
check_mypy() { cat "${mypy_output}" && return "${mypy_status}"; } # it began before the others, see below
check_bats() { bats --formatter tap tests/shell; }
check_pytest() { python3 -m pytest -q -n "${nj}" --dist loadfile --no-loadscope-reorder --durations 5; }

# count_tests NAME STATUS: add what the check's output says to passed and failed.
count_tests() {
  local good=0 bad=0
  case "$1" in
    bats)
      good=$(grep -c '^ok ' "${output}")
      bad=$(grep -c '^not ok ' "${output}")
      ;;
    pytest)
      good=$(tail -n 1 "${output}" | grep -oE '[0-9]+ passed' | grep -oE '[0-9]+')
      bad=$(tail -n 1 "${output}" | grep -oE '[0-9]+ (failed|error)' | awk '{ sum += $1 } END { print sum + 0 }')
      ;;
    *) good=$(($2 == 0)) ;;
  esac
  if (($2 != 0 && bad == 0)); then
    bad=1 # it could not even start, or was killed
  fi
  passed=$((passed + ${good:-0})) failed=$((failed + bad))
}

# run_check NAME: run it with its output on the terminal, note the result and the time.
run_check() {
  local status started=${SECONDS} result=ok
  if [[ "$1" == bats ]] && ! command -v bats >/dev/null; then
    summary+=("$(printf '%-11s skipped: bats is not installed (see tools/install_system.sh)' "$1")")
    return
  fi
  log "== $1"
  if [[ "$1" == mypy ]]; then
    wait "${mypy_process}"
    mypy_status=$?
  fi
  "check_$1" </dev/null 2>&1 | tee "${output}"
  status=${PIPESTATUS[0]}
  count_tests "$1" "${status}"
  ((status == 0)) || result=FAILED
  summary+=("$(printf '%-11s %-7s %4d s' "$1" "${result}" $((SECONDS - started)))")
}

if [[ "${list}" == true ]]; then
  printf '%s\n' "${checks[@]}"
  exit 0
fi
selection=("${checks[@]}")
if [[ -n "${only}" ]]; then
  IFS=, read -ra selection <<<"${only}"
fi
for check in "${selection[@]}"; do
  [[ " ${checks[*]} " == *" ${check} "* ]] || die "--only ${only}: no check '${check}'; there are: ${checks[*]}"
done

# A git hook exports where its repository is; tests that make repositories of their own must not write there.
mapfile -t git_variables < <(git rev-parse --local-env-vars 2>/dev/null)
unset "${git_variables[@]}"

SECONDS=0
if [[ -z "${ASR_DRO_PYTHON:-}" ]]; then
  bash tools/install.sh --dev --quiet || { echo "0 passed, 1 failed" && exit 1; }
fi
. ./path.sh || exit 1
if [[ " ${selection[*]} " == *" bats "* || " ${selection[*]} " == *" pytest "* ]]; then
  bash tools/install_system.sh --quiet
fi
output=$(mktemp) mypy_output=$(mktemp) mypy_process=
trap 'rm -f "${output}" "${mypy_output}"; kill ${mypy_process:+"${mypy_process}"} 2>/dev/null' EXIT
if [[ " ${selection[*]} " == *" mypy "* ]]; then # with an empty cache it takes longer than all other checks before pytest
  python3 -m mypy </dev/null >"${mypy_output}" 2>&1 &
  mypy_process=$!
fi
for check in "${selection[@]}"; do
  run_check "${check}"
done

printf '\n%s in all: %d s\n' "${selection[*]}" "${SECONDS}"
printf '  %s\n' "${summary[@]}"
printf '%d passed, %d failed\n' "${passed}" "${failed}"
((failed == 0))
