# shellcheck shell=bash
# shellcheck disable=SC2154  # ASR_DRO_ROOT belongs to the script that sources this
# Language sets by name or as a comma list of codes. Sourced after log.sh; needs ASR_DRO_ROOT.

# check_lang_set LANG_SET: leave with a message unless it is conf/lang_sets/<name>.txt or a list of known codes
# (ISO 639-3, or the locales of Common Voice).
check_lang_set() {
  local unknown
  if [[ "$1" != *,* ]]; then
    if [[ -f "conf/lang_sets/$1.txt" || ! "$1" =~ ^[a-z]{2,3}(-[A-Za-z0-9]+)?$ ]]; then
      find_conf lang_sets "$1" txt >/dev/null
      return
    fi
    [[ ! -f "${ASR_DRO_ROOT}/conf/lang_sets/$1.txt" ]] || return 0
  fi
  unknown=$(awk -F '\t' -v asked="$1" '
    FNR > 1 { known[$1]; n = split($5, locales, ","); for (i = 1; i <= n; i++) known[locales[i]] }
    END {
      n = split(asked, codes, ",")
      for (i = 1; i <= n; i++) if (codes[i] == "" || !(codes[i] in known)) printf " \"%s\"", codes[i]
    }' "${ASR_DRO_ROOT}/asr_dro/data/languages.tsv")
  [[ -z "${unknown}" ]] || die "no language${unknown} in --lang-set $1. Codes (ISO 639-3 or locales of Common Voice)" \
    "are in asr_dro/data/languages.tsv; named sets: $(lang_set_names)"
}

# lang_set_names: the names of all language sets on one line, for messages.
lang_set_names() {
  local file
  for file in conf/lang_sets/*.txt "${ASR_DRO_ROOT}"/conf/lang_sets/*.txt; do
    [[ ! -f "${file}" ]] || basename "${file}" .txt
  done | LC_ALL=C sort -u | paste -sd ' '
}

# lang_label LANG_SET: its name in file names. Codes are sorted and joined by "+"; a label of more than 40 characters
# becomes <n>languages_<8 hexadecimal digits>.
lang_label() {
  local label plus_signs
  label=$(tr ',' '\n' <<<"$1" | LC_ALL=C sort -u | paste -sd '+')
  if [[ "$1" == *,* ]] && ((${#label} > 40)); then
    plus_signs=${label//[^+]/}
    label="$((${#plus_signs} + 1))languages_$(printf '%s' "${label}" | sha256sum | cut -c -8)"
  fi
  printf '%s\n' "${label}"
}
