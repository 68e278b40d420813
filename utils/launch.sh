# shellcheck shell=bash
# Start the training in one process, or in one for each GPU of all nodes that the job has. Sourced.

# launch NGPU MODULE ARGUMENT...: python3 -O -m MODULE ARGUMENT... --ngpu N.
#
# In a Slurm job with several tasks (--nodes, --ntasks-per-node) srun starts one process a task; with several GPUs and
# without such a job torchrun starts one a GPU. Each process has one GPU, or none, and finds its place in RANK,
# LOCAL_RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT. When one of them dies the others are ended.
launch() {
  local ngpu=$1 each=$(($1 > 0)) tasks=${SLURM_NTASKS:-1} first
  shift
  if [[ -n "${SLURM_JOB_ID:-}" ]] && ((tasks > 1)); then
    # By address: the names of nodes need not resolve on them.
    first=$(scontrol show hostnames "${SLURM_JOB_NODELIST:-}" | head -n 1)
    MASTER_ADDR=$(scontrol show node "${first}" | sed -nE 's/.*NodeAddr=([^ ]+).*/\1/p' | head -n 1)
    # Jobs that share a node have different ports, below those that Linux hands out by itself (from 32768).
    export MASTER_ADDR="${MASTER_ADDR:-${first}}" MASTER_PORT=$((20000 + SLURM_JOB_ID % 12000))
    # Since Slurm 22.05 srun does not take over what sbatch was told of cores.
    [[ -z "${SLURM_CPUS_PER_TASK:-}" ]] || export SRUN_CPUS_PER_TASK="${SLURM_CPUS_PER_TASK}"
    # shellcheck disable=SC2016  # each task has its own
    srun --ntasks="${tasks}" --kill-on-bad-exit=1 --export=ALL bash -c \
      'RANK=${SLURM_PROCID} LOCAL_RANK=${SLURM_LOCALID} WORLD_SIZE=${SLURM_NTASKS} exec "$@"' launch \
      python3 -O -m "$@" --ngpu "${each}"
  elif ((ngpu > 1)); then
    PYTHONOPTIMIZE=1 python3 -m torch.distributed.run --standalone --nproc-per-node "${ngpu}" -m "$@" --ngpu 1
  else
    python3 -O -m "$@" --ngpu "${each}"
  fi
}
