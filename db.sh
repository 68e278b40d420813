# shellcheck shell=bash
# Where corpora live: edit here, or export the variable, which wins. Sourced after log.sh; needs ASR_DRO_ROOT.

# A small synthetic Common Voice release; stage 1 makes it here when it is missing (--corpus mini).
export MINI="${MINI:-${ASR_DRO_ROOT}/downloads/cv-corpus-mini}"

# Common Voice, any release: a folder with locales, a folder with their .tar.gz as downloaded, or one .tar.gz.
export COMMON_VOICE="${COMMON_VOICE:-}"

# ML-SUPERB: the folder of an unpacked release, or of the parquet packaging.
export ML_SUPERB="${ML_SUPERB:-}"

# Your own recordings: a folder with train.jsonl, dev.jsonl, test.jsonl, or one manifest with a "split" in each line.
export MANIFEST="${MANIFEST:-}"

# A saved data set of Hugging Face: the folder that save_to_disk wrote, or one with shards of parquet.
export HF_DATASET="${HF_DATASET:-}"

# corpus_help CORPUS: what its variable names, and where the corpus comes from.
corpus_help() {
  case "$1" in
    common_voice)
      cat <<'EOF'
COMMON_VOICE names a folder with locales (fi, ka, ...), one with their .tar.gz as downloaded, or a single .tar.gz.
What to download: "Common Voice Scripted Speech", in the catalogue of the Mozilla Data Collective (needs an account);
an archive per locale, cv-corpus-<release>-<date>-<locale>.tar.gz, of any release from 1 on. Release 25.0 has 290 locales
and 41,792 hours in 930 GB, 22 MB an hour; half of its archives are below 250 MB.
Licence: CC0-1.0; the platform's terms allow no mirrors. Archives with "licensed" in their name have terms of their own.
EOF
      ;;
    ml_superb)
      cat <<'EOF'
ML_SUPERB names the folder of an unpacked release (with fleurs/fin/wav and the like in it), or of the parquet packaging.
What to download, from the hub of Hugging Face: ftshijt/mlsuperb_8th (eighth_version.zip, 30 GB; ftshijt/mlsuperb_7th
is the release before it, as large), or espnet/ml_superb_hf (parquet, 15 GB, without a test split).
Licence: that of each source corpus, a mix of BSD, MIT, Apache-2.0 and CC BY 4.0 by its card.
EOF
      ;;
    manifest)
      cat <<'EOF'
MANIFEST names a folder with train.jsonl, dev.jsonl and test.jsonl, or one file with a "split" in each line. A line is
{"audio_filepath": "clips/1.wav", "text": "hyvää päivää", "duration": 1.9, "lang": "fin", "speaker": "a"}
EOF
      ;;
    hf_dataset)
      cat <<'EOF'
HF_DATASET names a folder that save_to_disk of Hugging Face's datasets wrote, or one with shards such as
train-00000-of-00002.parquet, with columns of audio, text and language. Names on the hub are not fetched: download first.
EOF
      ;;
  esac
}

# check_corpus CORPUS: leave with a message unless the corpus is there; stage 1 makes the mini corpus itself.
check_corpus() {
  local variable=${1^^} where # common_voice -> COMMON_VOICE
  where="${variable}='${!variable}' is not there"
  [[ -n "${!variable}" ]] || where="${variable} is not set"
  [[ "$1" == mini || -e "${!variable}" ]] ||
    die "--corpus $1: ${where}; set it in db.sh or export it:" \
      "${variable}=/corpora/$1 ${0##*/} --corpus $1"$'\n'"$(corpus_help "$1")"
}
