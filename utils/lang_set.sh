# shellcheck shell=bash
# shellcheck disable=SC2154  # ASR_DRO_ROOT belongs to the script that sources this
# Language sets by name or as a comma list of codes. Sourced after log.sh; needs ASR_DRO_ROOT.

# check_lang_set LANG_SET: leave with a message unless it is conf/lang_sets/<name>.txt or a list of known codes
# (labels, ISO 639-3, or the locales of Common Voice).
check_lang_set() {
  local unknown what="no language set has this name, and no language is called"
  if [[ "$1" =~ ^[A-Za-z0-9_][A-Za-z0-9_.-]*$ ]]; then
    [[ ! -f "conf/lang_sets/$1.txt" && ! -f "${ASR_DRO_ROOT}/conf/lang_sets/$1.txt" ]] || return 0
  fi
  unknown=$(unknown_codes "$1")
  [[ "$1" != *,* ]] || what="no language is called"
  [[ -z "${unknown}" ]] || die "--lang-set '$1': ${what} ${unknown}." \
    "Codes (ISO 639-3, or locales of Common Voice) are in asr_dro/data/languages.tsv; sets: $(lang_set_names)"
}

# unknown_codes LIST: print the codes of a comma list that no language has, each with the likeliest ones.
unknown_codes() {
  # Through the environment: awk would read a backslash in an assignment as an escape.
  asked=$1 awk -F '\t' '
    function likeliest(wanted, n, code, base, found, count, pass) {
      wanted = tolower(wanted); gsub("_", "-", wanted); base = wanted; sub("-.*", "", base)
      for (pass = 1; pass <= 2 && count == 0; pass++)
        for (n = 1; n <= total && count < 3; n++) {
          code = tolower(codes[n])
          if (pass == 1 ? code == wanted || names[n] == wanted || code == base || index(code, base "-") == 1 \
                        : one_apart(code, wanted) || one_apart(names[n], wanted))
            found = found (count++ ? ", " : "") codes[n]
        }
      return found
    }
    function one_apart(a, b, i) { # one character replaced, missing or surplus
      for (i = 1; substr(a, i, 1) == substr(b, i, 1) && i <= length(a); i++) ;
      if (substr(a, i + 1) == substr(b, i + 1)) return 1
      return substr(a, i) == substr(b, i + 1) || substr(a, i + 1) == substr(b, i)
    }
    FNR > 1 {
      known[$1]; codes[++total] = $1; names[total] = tolower($3)
      n = split($5, locales, ",")
      for (i = 1; i <= n; i++) if (!(locales[i] in known)) { known[locales[i]]; codes[++total] = locales[i] }
    }
    END {
      n = split(ENVIRON["asked"], wanted, ",")
      if (n == 0) printf "\"\""
      for (i = 1; i <= n; i++) if (wanted[i] == "" || !(wanted[i] in known)) {
        near = wanted[i] == "" ? "" : likeliest(wanted[i])
        printf "%s\"%s\"%s", separator, wanted[i], near == "" ? "" : " (nearest: " near ")"
        separator = ", "
      }
    }' "${ASR_DRO_ROOT}/asr_dro/data/languages.tsv"
}

# lang_set_names: the names of all language sets on one line, for messages.
lang_set_names() {
  local file
  for file in conf/lang_sets/*.txt "${ASR_DRO_ROOT}"/conf/lang_sets/*.txt; do
    file=${file##*/}
    [[ "${file}" == '*'.txt ]] || printf '%s\n' "${file%.txt}"
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

# data_label LANG_SET DURATION DATA_CONF: what names a set of data: the languages, and whatever else is not the default.
data_label() {
  local label
  label=$(lang_label "$1")
  [[ "$2" == all ]] || label+=_$2
  [[ "$3" == default ]] || label+=_$3
  printf '%s\n' "${label}"
}
