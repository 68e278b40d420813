# shellcheck shell=bash
# shellcheck disable=SC2154  # ASR_DRO_ROOT, stage and stop_stage belong to the script that sources this
# Messages, stage selection and look-ups of the scripts. Sourced; needs ASR_DRO_ROOT (and stage, stop_stage for selected).

# log MESSAGE...: one line with the time, on standard error (standard output is for results).
log() {
  printf '%(%F %T)T  %s\n' -1 "$*" >&2
}

# die MESSAGE...: say what is wrong and leave with status 2, a user's mistake.
die() {
  printf '%s: error: %s\n' "${0##*/}" "$*" >&2
  exit 2
}

# selected N: true when stage N lies between --stage and --stop-stage.
selected() {
  if ((stage <= $1 && $1 <= stop_stage)); then
    stage_running=$1
    export ASR_DRO_STAGE=$1
  else
    return 1
  fi
}

# explain_stop STATUS: for an EXIT trap; after a failure, say where it stopped and how to go on. What Python could not
# record in ASR_DRO_FAILURE (it was killed, say) is recorded here; a folder that does not exist stays so.
explain_stop() {
  if (($1 != 0)) && [[ -n "${stage_running:-}" ]]; then
    log "Stopped in stage ${stage_running} (exit status $1). Finished work is kept: run the same command again to go on."
    if [[ -n "${ASR_DRO_FAILURE:-}" && ! -e "${ASR_DRO_FAILURE}" && -d "${ASR_DRO_FAILURE%/*}" ]]; then
      printf '{"stage": "%d", "status": %d, "error": "%s", "time": "%(%FT%T%z)T"}\n' \
        "${stage_running}" "$1" "exit status $1$( (($1 <= 128)) || echo ", killed by signal $(($1 - 128))")" -1 \
        >"${ASR_DRO_FAILURE}"
    fi
  fi
}

# find_conf AXIS NAME [EXTENSION]: print the path of conf/AXIS/NAME.yaml, a recipe's own (current directory) first.
find_conf() {
  local axis=$1 name=$2 extension=${3:-yaml} folder file
  local -A names=()
  for folder in "conf/${axis}" "${ASR_DRO_ROOT}/conf/${axis}"; do
    if [[ "${name}" =~ ^[A-Za-z0-9_][A-Za-z0-9_.-]*$ && -f "${folder}/${name}.${extension}" ]]; then
      printf '%s\n' "${folder}/${name}.${extension}"
      return
    fi
    for file in "${folder}"/*."${extension}"; do
      [[ ! -f "${file}" ]] || names["$(basename "${file}" ".${extension}")"]=1
    done
  done
  file=$(printf '%s\n' "${!names[@]}" | LC_ALL=C sort | paste -sd ' ')
  die "no ${axis} '${name}' (conf/${axis}/${name}.${extension}); there are: ${file:-none}"
}

# find_local FILE: print the path of local/FILE, a recipe's own (current directory) first.
find_local() {
  local folder
  for folder in local "${ASR_DRO_ROOT}/local"; do
    if [[ -f "${folder}/$1" ]]; then
      printf '%s\n' "${folder}/$1"
      return
    fi
  done
  die "no local/$1 here ($(pwd)) nor in ${ASR_DRO_ROOT}"
}
