# shellcheck shell=bash
# Environment of every script: source it. Installs or updates .venv first (tools/install.sh, at once when up to date).
#
# ASR_DRO_PYTHON=/some/env/bin/python3 uses that environment as it is instead: nothing is installed.

ASR_DRO_ROOT=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd) || return 1
export ASR_DRO_ROOT

if [[ "${ASR_DRO_ROOT}" == *:* ]]; then
  echo "path.sh: error: a colon separates the folders in PATH, so the repository cannot lie in ${ASR_DRO_ROOT}" >&2
  return 1
fi
if [[ -z "${ASR_DRO_PYTHON:-}" ]]; then
  bash "${ASR_DRO_ROOT}/tools/install.sh" --quiet || return 1
  PATH="${ASR_DRO_ROOT}/.venv/bin:${PATH}"
else
  # The scripts call python3, so it must be the same program as the one named.
  PATH="$(dirname -- "${ASR_DRO_PYTHON}"):${PATH}"
  if ! [[ -x "${ASR_DRO_PYTHON}" && "$(command -v python3)" -ef "${ASR_DRO_PYTHON}" ]]; then
    echo "path.sh: error: ASR_DRO_PYTHON=${ASR_DRO_PYTHON} is not an interpreter with a python3 beside it;" \
      "give the path of an environment's bin/python3" >&2
    return 1
  fi
fi
export PATH
export PYTHONPATH="${ASR_DRO_ROOT}${PYTHONPATH:+:${PYTHONPATH}}"

# One thread per process, waiting without spinning: nj processes of N busy threads each burn ten times the work.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-PASSIVE}"

# Files are UTF-8 and sorted by bytes, whatever the user's language; C.UTF-8 is missing on some old systems.
if [[ "$(LC_ALL=C.UTF-8 locale charmap 2>/dev/null)" == UTF-8 ]]; then
  export LC_ALL=C.UTF-8
else
  export LC_ALL=C
fi
export PYTHONUTF8=1

# Images of containers often forbid Python to keep what it compiles: each process then compiles torch and ESPnet again,
# two thirds of the time until a training begins.
unset PYTHONDONTWRITEBYTECODE
