#!/usr/bin/env bash
# Run a grid of choices (languages, models, objectives and their hyper-parameters, seeds): on Slurm, or on this machine.
#
#   ./submit.sh --grid mini_objectives --cluster local       every job on this machine, a few at a time
#   ./submit.sh --grid languages143 --cluster slurm          as Slurm arrays: data, then trainings, then the scores
#   ./submit.sh --help                                       all options; docs/cluster.md tells the rest
set -euo pipefail
ASR_DRO_ROOT=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

# Help needs no packages: any Python of the system tells it at once, or else the environment's below.
for word in "$@"; do
  [[ "${word}" == -h || "${word}" == --help ]] || continue
  ! PYTHONPATH=${ASR_DRO_ROOT} python3 -S -B -m asr_dro.bin.submit --help 2>/dev/null || exit 0
done

. "${ASR_DRO_ROOT}/path.sh"
python3 -m asr_dro.bin.submit "$@"
