#!/usr/bin/env bash
# Make the environment: .venv in the repository, with everything in tools/requirements.txt.
#
#   tools/install.sh                      what the recipes need (./run.sh calls it too)
#   tools/install.sh --dev                also what tools/test.sh needs
#   PYTHON=python3.12 tools/install.sh    with this interpreter instead of the first fitting one on PATH
#
# Nothing happens when all is up to date. It may run twice at once, and after a kill the next call goes on.
# Packages come from where pip's settings say (PIP_INDEX_URL, PIP_FIND_LINKS, PIP_NO_INDEX or pip.conf), or uv's own.
# UV_TORCH_BACKEND=cpu asks uv for PyTorch without the 4 GB of CUDA libraries.
set -euo pipefail
root=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)

# >>> options
dev=false   # install the tools of tools/test.sh too
quiet=false # say nothing when all is up to date
# <<< options
. "${root}/utils/parse_options.sh"
. "${root}/utils/log.sh"

cd "${root}"
venv=.venv
marker="${venv}/.installed"      # what is installed: interpreter and checksums of the lists, written last
unfinished="${venv}/.unfinished" # exists while packages are being written
log_file="${venv}/install.log"
lists=(tools/requirements.txt)
if [[ "${dev}" == true ]]; then
  lists+=(tools/requirements-dev.txt)
fi

# What the marker must contain: the version of the environment's interpreter, a checksum for each list.
wanted_state() {
  "${venv}/bin/python" -I -S -c 'import sys; print("python", sys.version.split()[0])' 2>/dev/null &&
    sha256sum "${lists[@]}"
}

up_to_date() {
  local wanted line
  [[ -f "${marker}" ]] && wanted=$(wanted_state) || return 1
  while IFS= read -r line; do
    grep -qxF -- "${line}" "${marker}" || return 1
  done <<<"${wanted}"
}

leave_if_up_to_date() {
  if up_to_date; then
    [[ "${quiet}" == true ]] || log "The environment is up to date: ${root}/${venv}"
    exit 0
  fi
}

# One installation at a time: flock where there is one, else a folder with the owner's process id.
lock() {
  if command -v flock >/dev/null; then
    exec 9>.venv.lock
    flock -n 9 || { log "Another installation is at work; waiting for it" && flock 9; }
    return
  fi
  local waited_s=0 owner
  until mkdir .venv.lock.d 2>/dev/null; do
    ((waited_s > 0)) || log "Another installation is at work; waiting for it"
    owner=$(cat .venv.lock.d/pid 2>/dev/null || true)
    if [[ -n "${owner}" ]] || ((waited_s >= 5)); then # after 5 s it would have written its id
      kill -0 "${owner:-none}" 2>/dev/null || rm -rf .venv.lock.d
    fi
    waited_s=$((waited_s + 1))
    sleep 1
  done
  echo "$$" >.venv.lock.d/pid
  trap 'rm -rf .venv.lock.d' EXIT
}

# Print the first interpreter of a version that every package supports.
find_python() {
  local candidate version found=() candidates=(python3 python3.12 python3.11 python3.10)
  [[ -z "${PYTHON:-}" ]] || candidates=("${PYTHON}")
  for candidate in "${candidates[@]}"; do
    version=$("${candidate}" -I -S -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
    case "${version}" in
      3.10 | 3.11 | 3.12)
        command -v "${candidate}"
        return
        ;;
    esac
    found+=("${candidate} is ${version}")
  done
  die "Python 3.10, 3.11 or 3.12 is needed; found: ${found[*]:-none}. Install one, or name it:" \
    "PYTHON=/path/to/python3.12 tools/install.sh"
}

# True if .venv has pip or can get it (uv and a killed venv leave it out).
has_pip() {
  "${venv}/bin/python" -m pip --version >/dev/null 2>&1 || "${venv}/bin/python" -m ensurepip >/dev/null 2>&1
}

make_venv() {
  local python
  if [[ ! -e "${unfinished}" ]] && (PYTHON="${venv}/bin/python" find_python) >/dev/null 2>&1 && has_pip; then
    return # kept: its interpreter runs and no installation was cut off
  fi
  python=$(find_python)
  log "Making ${root}/${venv} with ${python} ($("${python}" -V 2>&1))"
  "${python}" -m venv --clear "${venv}" || die "${python} -m venv failed; on Debian and Ubuntu its package is" \
    "python3-venv: sudo apt-get install python3-venv (tools/install_system.sh does so)"
}

# Let uv ask where pip would: the settings are pip's environment or configuration files.
follow_pip_settings() {
  local index find_links
  index=${UV_DEFAULT_INDEX:-$(pip_setting index-url)}
  find_links=${UV_FIND_LINKS:-$(pip_setting find-links)}
  [[ -z "${index}" ]] || export UV_DEFAULT_INDEX="${index}"
  [[ -z "${find_links}" ]] || export UV_FIND_LINKS="${find_links// /,}"
  uv_options=(--no-deps)
  [[ "$(pip_setting no-index)" != @(1|true|True|yes) ]] || uv_options+=(--no-index)
  export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-true}" # companies add their own certificates to the system's
}

pip_setting() {
  local variable=PIP_${1//-/_}
  variable=${variable^^}
  printf '%s' "${!variable:-$("${venv}/bin/python" -m pip config get "global.$1" 2>/dev/null | paste -sd ' ')}"
}

# Set the array uv to the command, or to nothing where uv cannot be had. Its version is that of the list.
find_uv() {
  local requirement
  uv=()
  requirement=$(grep -E '^uv==' tools/requirements.txt)
  if [[ "$("${venv}/bin/uv" --version 2>/dev/null)" == "uv ${requirement#uv==}"* ]] ||
    "${venv}/bin/python" -m pip install --quiet --disable-pip-version-check "${requirement}" >>"${log_file}" 2>&1; then
    uv=("${venv}/bin/uv")
  elif command -v uv >/dev/null; then
    uv=(uv)
  else
    log "uv cannot be installed; going on with pip, which takes some minutes more"
  fi
}

# The lists name every package with its version, so nothing is left to resolve: --no-deps also spares pip the direct URL
# in ci_sdr's metadata, at which it stops.
install_packages() {
  local requirements="${venv}/requirements.txt"
  cat "${lists[@]}" >"${requirements}"
  if [[ "${UV_TORCH_BACKEND:-}" == cpu ]]; then
    sed -i -E '/^(nvidia-|triton)/d' "${requirements}"
  fi
  if ((${#uv[@]} > 0)); then
    "${uv[@]}" pip install --python "${venv}/bin/python" "${uv_options[@]}" -r "${requirements}" 2>&1
  else
    sed -i '/^uv==/d' "${requirements}"
    "${venv}/bin/python" -m pip install --disable-pip-version-check --no-deps -r "${requirements}" 2>&1
  fi | tee -a "${log_file}" | sed -u -E '/^ [-+~] |^Requirement already|^WARNING: Location/d' >&2
}

explain_failure() {
  local missing
  # shellcheck disable=SC2016  # the backquotes are those of uv's messages
  missing=$(sed -nE \
    -e 's/.*(Failed to|not) (fetch|download|build)[^`]*`?([A-Za-z0-9_.-]+==[^ `]+).*/\3/p' \
    -e 's/.*Failed to fetch:.*\/simple\/([^/ ]+)\/.*/\1/p' \
    -e 's/.*[Bb]ecause ([A-Za-z0-9_.-]+) was not found.*/\1/p' \
    -e 's/.*No matching distribution found for ([^ ]+).*/\1/p' "${log_file}" | sort -u | paste -sd ' ')
  [[ -z "${missing}" ]] || rm "${unfinished}" # all is fetched before anything is written: what was there is whole
  cat >&2 <<EOF

install.sh: error: the environment is not complete; could not be fetched: ${missing:-see ${root}/${log_file}}
Nothing is lost: the same command goes on where it stopped. Without a network, one of these helps:
  a mirror of the package index     PIP_INDEX_URL=<address> tools/install.sh
  a folder with the wheels          PIP_NO_INDEX=1 PIP_FIND_LINKS=<folder> tools/install.sh
                                    (filled elsewhere: pip wheel --no-deps -r tools/requirements.txt -w <folder>)
  an environment with the packages  ASR_DRO_PYTHON=<its python3> ./run.sh
                                    (what it lacks: <its python3> tools/check_install.py)
EOF
  exit 1
}

leave_if_up_to_date
lock
leave_if_up_to_date # by the installation that was waited for
SECONDS=0
make_venv
: >"${log_file}"
free_kb=$(df -Pk . | awk 'NR == 2 { print $4 }')
((free_kb > 8000000)) || log "Warning: $((free_kb / 1000000)) GB are free here; the environment takes about 7 GB"
follow_pip_settings
find_uv
log "Installing ${lists[*]} (up to 3.5 GB to download); messages are kept in ${root}/${log_file}"
touch "${unfinished}"
rm -f "${marker}"
install_packages || explain_failure
wanted_state >"${marker}.tmp"
mv "${marker}.tmp" "${marker}"
rm "${unfinished}"
log "Installed in ${SECONDS} s; ${venv} takes $(du -sh "${venv}" | cut -f 1) (partly shared with uv's cache)"
