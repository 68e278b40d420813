# shellcheck shell=bash
# Options in the Kaldi way: --some-option VALUE (or --some-option=VALUE, --some_option VALUE) sets some_option.
# Source it in a script after its option block, in which each option is declared once, with its default and its help:
#
#   # >>> options
#   stage=1      # first stage to run
#   corpus=mini  # where speech comes from [mini|common_voice]
#   dev=false    # tools of developers too
#   # <<< options
#   . "${root}/utils/parse_options.sh"
#
# The default gives the type: a whole number takes whole numbers, true or false makes a switch (--dev alone is true), any
# other default takes text. A list such as [a|b] at the end of the help is enforced. --help prints the comment at the top
# of the script and this block. Whatever is wrong ends the script with status 2. No value is ever evaluated.

# All names start with po_: the values below are set by printf -v, which would hit a local variable of the same name.
po_fail() {
  printf '%s: error: %s\n' "${0##*/}" "$*" >&2
  exit 2
}

# po_read_block FILE: fill po_names, po_help and po_type (by name) and po_header from the script's text.
po_read_block() {
  local po_line po_name po_part=header
  local po_declaration='^([a-z][a-z0-9_]*)=[^#]*#[[:space:]]*(.+)$'
  while IFS= read -r po_line; do
    case "${po_part}:${po_line}" in
      header:'#!'*) ;;
      header:'#'*)
        po_line=${po_line#'#'}
        po_header+="${po_line# }"$'\n'
        ;;
      block:'# <<< options') return ;;
      *:'# >>> options') po_part=block ;;
      header:*) po_part=code ;;
      block:*)
        [[ "${po_line}" =~ ${po_declaration} ]] || po_fail "$1: not 'name=default  # help': ${po_line}"
        po_name=${BASH_REMATCH[1]}
        po_names+=("${po_name}")
        po_help["${po_name}"]=${BASH_REMATCH[2]}
        po_type["${po_name}"]=$(po_type_of "${!po_name}")
        ;;
    esac
  done <"$1"
  po_fail "$1: no option block between '# >>> options' and '# <<< options'"
}

# po_print_help: the header and a line per option.
po_print_help() {
  local po_name po_width=0 po_label
  for po_name in "${po_names[@]}"; do
    ((${#po_name} <= po_width)) || po_width=${#po_name}
  done
  printf '%s\nOptions:\n' "${po_header}"
  for po_name in "${po_names[@]}"; do
    po_label="--${po_name//_/-} ${po_type[${po_name}]}"
    printf '  %-*s  %s' $((po_width + 7)) "${po_label% switch}" "${po_help[${po_name}]}"
    printf '%s\n' "${!po_name:+ (default: ${!po_name})}"
  done
}

# po_type_of DEFAULT: int, switch or text.
po_type_of() {
  case "$1" in
    true | false) printf 'switch' ;;
    '' | *[!0-9]*) printf 'text' ;;
    *) printf 'int' ;;
  esac
}

# po_distance A B: number of letters to change, drop or add to get from A to B.
po_distance() {
  local po_i po_j po_cost
  local -a po_above=() po_row=()
  for ((po_j = 0; po_j <= ${#2}; po_j++)); do po_above[po_j]=${po_j}; done
  for ((po_i = 1; po_i <= ${#1}; po_i++)); do
    po_row[0]=${po_i}
    for ((po_j = 1; po_j <= ${#2}; po_j++)); do
      po_cost=${po_above[po_j - 1]}
      [[ "${1:po_i-1:1}" == "${2:po_j-1:1}" ]] || po_cost=$((po_cost + 1))
      ((po_cost <= po_above[po_j] + 1)) || po_cost=$((po_above[po_j] + 1))
      ((po_cost <= po_row[po_j - 1] + 1)) || po_cost=$((po_row[po_j - 1] + 1))
      po_row[po_j]=${po_cost}
    done
    po_above=("${po_row[@]}")
  done
  printf '%d' "${po_above[${#2}]}"
}

# po_unknown NAME: refuse an option that the block does not declare, naming the nearest that it does.
po_unknown() {
  local po_name po_distance po_best=4 po_nearest=
  for po_name in "${po_names[@]}"; do
    if [[ "${po_name}" == "$1"* ]]; then po_distance=0; else po_distance=$(po_distance "$1" "${po_name}"); fi
    if ((po_distance < po_best)); then
      po_best=${po_distance} po_nearest=${po_name}
    fi
  done
  po_fail "no option --${1//_/-}${po_nearest:+; did you mean --${po_nearest//_/-}?} (--help lists all)"
}

# po_check NAME VALUE: refuse a value of the wrong type or outside the list of choices.
po_check() {
  local po_flag="--${1//_/-}" po_choices='\[([^][]*\|[^][]*)\]$'
  case "${po_type[$1]}" in
    int) [[ "$2" =~ ^(0|[1-9][0-9]{0,17})$ ]] || po_fail "${po_flag} takes a whole number from 0 on, not '$2'" ;;
    switch) [[ "$2" == true || "$2" == false ]] || po_fail "${po_flag} takes true or false, not '$2'" ;;
  esac
  if [[ "${po_help[$1]}" =~ ${po_choices} ]]; then
    [[ "$2" != *'|'* && "|${BASH_REMATCH[1]}|" == *"|$2|"* ]] ||
      po_fail "${po_flag} takes one of ${BASH_REMATCH[1]//|/, }, not '$2'"
  fi
}

# po_is_option ARGUMENT: true for --help and for a declared option, so that "--model --objective x" lacks a value.
po_is_option() {
  local po_name=${1#--}
  [[ "$1" == --help || ("$1" == --* && -n "${po_help[${po_name//-/_}]+declared}") ]]
}

# po_parse ARGUMENT...: set the variables.
po_parse() {
  local po_name po_value
  while (($# > 0)); do
    case "$1" in
      -h | --help) po_print_help && exit 0 ;;
      --?*) ;;
      *) po_fail "'$1' belongs to no option; values follow their option, as in --${po_names[0]//_/-} VALUE (--help)" ;;
    esac
    po_name=${1%%=*} po_name=${po_name#--} po_name=${po_name//-/_}
    [[ "${po_name}" =~ ^[a-z][a-z0-9_]*$ && -n "${po_help[${po_name}]+declared}" ]] || po_unknown "${po_name}"
    if [[ "$1" == *=* ]]; then
      po_value=${1#*=}
    elif [[ "${po_type[${po_name}]}" == switch && "${2:-}" != true && "${2:-}" != false ]]; then
      po_value=true
    elif (($# < 2)) || po_is_option "$2"; then
      po_fail "--${po_name//_/-} lacks its value: --${po_name//_/-} VALUE"
    else
      po_value=$2
      shift
    fi
    shift
    po_check "${po_name}" "${po_value}"
    printf -v "${po_name}" '%s' "${po_value}"
  done
}

po_names=()
po_header=
declare -A po_help=() po_type=()
po_read_block "${BASH_SOURCE[1]}"
po_parse "$@"
unset po_names po_header po_help po_type
