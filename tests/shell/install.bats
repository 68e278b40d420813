#!/usr/bin/env bats
# tools/install.sh and path.sh, with an interpreter and a uv that only note their calls.
# shellcheck disable=SC2154,SC2016  # sandbox.bash sets repo and calls; quoted dollars are test data

load sandbox

setup() {
  make_sandbox
  bin="${BATS_TEST_TMPDIR}/stub bin"
  mkdir "${bin}"
  cat >"${bin}/python3" <<'EOF'
#!/usr/bin/env bash
printf 'python %s\n' "$*" >>"${CALLS}"
here=$(dirname "$0")
case "$*" in
  *sys.version_info*) echo "${STUB_PYTHON:-3.11}" ;;
  *sys.version.split*) echo "python ${STUB_PYTHON:-3.11}.7" ;;
  "-m pip --version" | "-m ensurepip") [[ -z "${STUB_WITHOUT_PIP:-}" ]] ;;
  "-m venv --clear "*) [[ -z "${STUB_WITHOUT_VENV:-}" ]] && rm -rf "$4" && mkdir -p "$4/bin" && cp "$0" "$4/bin/python3" && cp "$0" "$4/bin/python" ;;
  "-m pip config get"*) exit 1 ;;
  "-m pip install --quiet"*) [[ -z "${STUB_WITHOUT_UV:-}" ]] && cp "${STUB_UV}" "${here}/uv" ;;
esac
EOF
  export STUB_UV="${BATS_TEST_TMPDIR}/uv stub"
  cat >"${STUB_UV}" <<EOF
#!/usr/bin/env bash
if [[ "\$1" == --version ]]; then
  echo "uv $(sed -n 's/^uv==//p' "${repo}/tools/requirements.txt") (stub)"
  exit
fi
printf 'uv %s\n' "\$*" >>"\${CALLS}"
touch "\${CALLS}.uv_started"
sleep "\${STUB_DELAY_S:-0}"
if [[ -n "\${STUB_OFFLINE:-}" ]]; then
  printf 'error: Request failed after 3 retries\n  cause: Failed to fetch: https://index.invalid/simple/torch/\n' >&2
  exit 2
fi
EOF
  printf '#!/usr/bin/env bash\nexit 127\n' >"${bin}/python3.10" # hides those of the machine
  cp "${bin}/python3.10" "${bin}/python3.11"
  cp "${bin}/python3.10" "${bin}/python3.12"
  chmod +x "${bin}"/* "${STUB_UV}"
  PATH="${bin}:/usr/bin:/bin"
  unset PYTHON UV_TORCH_BACKEND PIP_INDEX_URL PIP_FIND_LINKS PIP_NO_INDEX UV_DEFAULT_INDEX UV_FIND_LINKS
  install="${repo}/tools/install.sh"
}

# count PATTERN: number of calls that match.
count() {
  grep -cE -- "$1" "${calls}" || true
}

@test "the first call installs the whole list, the second does nothing and is quick" {
  run -0 "${install}"
  [[ "${output}" == *"Making ${repo}/.venv"*"Installing tools/requirements.txt"*"Installed in "*" s"* ]]
  [ "$(count '^uv pip install --python .venv/bin/python --no-deps -r .venv/requirements.txt$')" -eq 1 ]
  cmp "${repo}/.venv/requirements.txt" "${repo}/tools/requirements.txt"
  local started_ms
  started_ms=$(date +%s%3N)
  run -0 "${install}"
  (($(date +%s%3N) - started_ms < 500)) # 20 ms on a free machine
  [[ "${output}" == *"up to date"* ]]
  [ "$(count '^uv pip')" -eq 1 ]
  [ "$(count 'venv --clear')" -eq 1 ]
  run -0 "${install}" --quiet
  [ -z "${output}" ]
}

@test "developers' tools are added once" {
  run -0 "${install}"
  run -0 "${install}" --dev
  grep -qx 'uv==.*' "${repo}/.venv/requirements.txt"
  grep -qx 'pytest==.*' "${repo}/.venv/requirements.txt"
  run -0 "${install}"
  run -0 "${install}" --dev
  [ "$(count '^uv pip')" -eq 2 ]
}

@test "a changed list or interpreter is installed anew" {
  run -0 "${install}"
  echo "one-more==1.0" >>"${repo}/tools/requirements.txt"
  run -0 "${install}"
  [ "$(count '^uv pip')" -eq 2 ]
  STUB_PYTHON=3.12 run -0 "${install}"
  [ "$(count '^uv pip')" -eq 3 ]
}

@test "two at once: one installs, the other waits" {
  STUB_DELAY_S=1 "${install}" >first 2>&1 &
  local first=$!
  STUB_DELAY_S=1 run -0 "${install}"
  wait "${first}"
  [ "$(count '^uv pip')" -eq 1 ]
  cat first - <<<"${output}" | grep -q "Another installation is at work"
  cat first - <<<"${output}" | grep -q "Installed in"
}

@test "two at once without flock, and a lock whose owner was killed" {
  local tool
  for tool in awk bash cat cmp cp cut date df dirname du env grep mkdir mv paste rm sed sha256sum sleep sort tee touch wc; do
    ln -s "$(command -v "${tool}")" "${bin}/${tool}"
  done
  PATH=${bin}
  run ! command -v flock
  mkdir "${repo}/.venv.lock.d"
  bash -c 'echo $$' >"${repo}/.venv.lock.d/pid" # of a process that has ended
  STUB_DELAY_S=1 "${install}" >first 2>&1 &
  local first=$!
  sleep 0.3
  STUB_DELAY_S=1 run -0 "${install}"
  wait "${first}"
  [ "$(count '^uv pip')" -eq 1 ]
  [ ! -e "${repo}/.venv.lock.d" ]
}

@test "killed while packages are written: the next call starts afresh and finishes" {
  run -0 "${install}"
  rm "${calls}.uv_started"
  cp "${repo}/tools/requirements.txt" before.txt
  echo "one-more==1.0" >>"${repo}/tools/requirements.txt"
  STUB_DELAY_S=30 setsid "${install}" >first 2>&1 3>&- &
  local first=$!
  until [ -e "${calls}.uv_started" ]; do sleep 0.05; done
  kill -9 -- "-${first}"
  cp before.txt "${repo}/tools/requirements.txt" # what was installed before is no longer whole
  run -0 "${install}"
  [ "$(count 'venv --clear')" -eq 2 ]
  [ "$(count '^uv pip')" -eq 3 ]
  run -0 "${install}"
  [ "$(count '^uv pip')" -eq 3 ]
  [ ! -e "${repo}/.venv/.unfinished" ]
}

@test "offline: says which package, what to do, and keeps what is there" {
  run -0 "${install}"
  echo "one-more==1.0" >>"${repo}/tools/requirements.txt"
  STUB_OFFLINE=1 run -1 "${install}"
  [[ "${output}" == *"could not be fetched: torch"* ]]
  [[ "${output}" == *PIP_INDEX_URL=*PIP_FIND_LINKS=*ASR_DRO_PYTHON=* ]]
  STUB_OFFLINE=1 run -1 "${install}"
  run -0 "${install}"
  [ "$(count 'venv --clear')" -eq 1 ]
  [ "$(count '^uv pip')" -eq 4 ]
}

@test "without uv pip installs the same list, except uv" {
  STUB_WITHOUT_UV=1 run -0 "${install}"
  [ "$(count '^python -m pip install .*--no-deps -r .venv/requirements.txt$')" -eq 1 ]
  grep -qx 'torch==.*' "${repo}/.venv/requirements.txt"
  run ! grep -q '^uv==' "${repo}/.venv/requirements.txt"
}

@test "without a GPU the CUDA packages can be left out" {
  UV_TORCH_BACKEND=cpu run -0 "${install}"
  grep -qx 'torch==.*' "${repo}/.venv/requirements.txt"
  run ! grep -qE '^(nvidia|triton)' "${repo}/.venv/requirements.txt"
}

@test "uv follows pip's settings" {
  sed -i 's/^printf .uv %s/printf "%s;%s;" "${UV_DEFAULT_INDEX:-}" "${UV_FIND_LINKS:-}" >>"${CALLS}"\n&/' "${STUB_UV}"
  PIP_INDEX_URL=https://mirror.invalid PIP_FIND_LINKS="/a /b" PIP_NO_INDEX=1 run -0 "${install}"
  [ "$(count '^https://mirror.invalid;/a,/b;uv pip install .* --no-index ')" -eq 1 ]
}

@test "a Python that is too new or too old is named" {
  STUB_PYTHON=3.13 run -2 "${install}"
  [[ "${output}" == *"Python 3.10, 3.11 or 3.12 is needed; found: python3 is 3.13."* ]]
  [ ! -e "${repo}/.venv" ]
  cp "${bin}/python3" "${BATS_TEST_TMPDIR}/another python"
  PYTHON="${BATS_TEST_TMPDIR}/another python" run -0 "${install}"
  [[ "${output}" == *"with ${BATS_TEST_TMPDIR}/another python"* ]]
  PYTHON=/nowhere run -0 "${install}" # up to date: the interpreter is not needed
  rm -r "${repo}/.venv"
  PYTHON=/nowhere run -2 "${install}"
  [[ "${output}" == *"found: none"* ]]
}

@test "a Python without venv says which package brings it; an environment without pip is made anew" {
  STUB_WITHOUT_VENV=1 run -2 "${install}"
  [[ "${output}" == *"sudo apt-get install python3-venv"* ]]
  run -0 "${install}"
  rm "${repo}/.venv/.installed"
  STUB_WITHOUT_PIP=1 run -0 "${install}"
  [ "$(count 'venv --clear')" -eq 3 ]
}

@test "run.sh from a fresh clone installs first, then runs the stages" {
  run -0 "${repo}/run.sh" --stage 2 --stop-stage 3
  [[ "${output}" == *"Installed in "*"Stage 2"* ]]
  [ "$(grep -E '^uv pip|asr_dro' "${calls}" | cut -d ' ' -f 1-3 | paste -sd ,)" = "uv pip install,python -m asr_dro.bin.make_tokens,python -m asr_dro.bin.make_lengths" ]
  run -0 "${repo}/run.sh" --stage 2 --stop-stage 2
  [ "$(count '^uv pip')" -eq 1 ]
  [[ "${output}" != *Install* ]]
}

@test "run.sh stops when the installation fails" {
  STUB_OFFLINE=1 run -1 "${repo}/run.sh"
  [ "$(count asr_dro)" -eq 0 ]
  [[ "${output}" == *"could not be fetched: torch"* ]]
}
