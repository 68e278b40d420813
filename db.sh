# shellcheck shell=bash
# Where corpora live: edit here, or export the variable, which wins. Sourced; needs ASR_DRO_ROOT.

# A small synthetic Common Voice release; stage 1 makes it here when it is missing (--corpus mini).
export MINI="${MINI:-${ASR_DRO_ROOT}/downloads/cv-corpus-mini}"

# An unpacked Common Voice release: the folder that holds the languages, such as cv-corpus-25.0-2026-03-06.
export COMMON_VOICE="${COMMON_VOICE:-}"

# ML-SUPERB 2.0: the folder that holds the corpora and languages of the public release.
export ML_SUPERB="${ML_SUPERB:-}"

# Your own recordings: a table with a row for each utterance.
export MANIFEST="${MANIFEST:-}"

# A data set in the layout of the Hugging Face hub, on disk or by its name there.
export HF_DATASET="${HF_DATASET:-}"
