#!/usr/bin/env bash
# Install the programs that tests need and that PyPI does not have: bats (tests of the shell scripts), chromium and
# its driver (look at the report), Slurm (tests of the cluster start one of their own; its services here stay off)
# and, where Python comes without it, venv. Training needs none of them.
#
#   tools/install_system.sh
#
# Nothing happens when all are there. With root's rights apt-get installs what is missing; else the command is printed.
set -euo pipefail
root=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)

# >>> options
quiet=false # say nothing when all is there
# <<< options
. "${root}/utils/parse_options.sh"
. "${root}/utils/log.sh"

services=(munge slurmctld slurmd)

# Print the Debian packages of the programs that are missing, one per line.
missing_packages() {
  local name
  command -v bats >/dev/null || echo bats
  command -v chromium >/dev/null || echo chromium
  command -v chromedriver >/dev/null || echo chromium-driver
  for name in "${services[@]}"; do
    PATH="${PATH}:/usr/sbin:/sbin" command -v "${name}" >/dev/null || echo "${name}"
  done
  command -v sbatch >/dev/null || echo slurm-client
  [[ -x "${root}/.venv/bin/python" ]] || python3 -c 'import ensurepip' 2>/dev/null || echo python3-venv
}

# Package lists may be absent (containers) or old, so they are fetched when the first try fails.
apt_install() {
  local options=(-y -qq --no-install-recommends -o DPkg::Lock::Timeout=300)
  DEBIAN_FRONTEND=noninteractive apt-get install "${options[@]}" "$@" >&2 ||
    { apt-get update -qq >&2 && DEBIAN_FRONTEND=noninteractive apt-get install "${options[@]}" "$@" >&2; }
}

# Services that came with what was installed neither run nor start at the next boot; others are left alone.
stop_services() {
  local name
  command -v systemctl >/dev/null || return 0
  for name in "${services[@]}"; do
    [[ " ${missing[*]} " != *" ${name} "* ]] || systemctl disable --now "${name}" >/dev/null 2>&1 || true
  done
}

mapfile -t missing < <(missing_packages)
if ((${#missing[@]} == 0)); then
  [[ "${quiet}" == true ]] || log "All system packages are there"
  exit 0
fi
if ! command -v apt-get >/dev/null; then
  log "Missing: ${missing[*]} (Debian's names). There is no apt-get here; install them in your system's way"
  exit 1
fi
if ((EUID != 0)); then
  log "Missing: ${missing[*]}. Without root's rights they cannot be installed here; run:"
  log "  sudo apt-get install --no-install-recommends ${missing[*]}"
  exit 1
fi
SECONDS=0
log "Installing with apt-get: ${missing[*]}"
apt_install "${missing[@]}" </dev/null || {
  log "apt-get could not install ${missing[*]} (its messages are above; is there a network?). Checks that need them are skipped"
  exit 1
}
stop_services
log "Installed in ${SECONDS} s"
