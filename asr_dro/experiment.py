"""Names of the files that a run leaves behind: a contract that other tools read."""

from __future__ import annotations

TRAIN_CONFIG = "train.yaml"  # composed configuration
ESPNET_CONFIG = "config.yaml"  # all of ESPnet's arguments, from which decoding rebuilds the model
ENVIRONMENT = "environment.json"
TRAIN_LOG = "train.log"
EPOCHS = "train.jsonl"  # one line per epoch
GROUP_UPDATES = "groups.jsonl"  # one line per update of the group weights

CHECKPOINTS = "checkpoints"  # folder of the following
LAST_CHECKPOINT = "last.pt"  # to resume from
MODEL = "model.pt"  # to decode with; its existence marks a finished training
SELECTION = "selection.json"  # which epochs went into it, and why
INPUTS = "inputs.json"  # the data that training began with

LOCK = ".lock"  # who works in the folder right now: host, process, job; its absence marks an idle folder
FAILURE = "failure.json"  # the last run's bad end: stage, exit status, last error; gone once it goes on

REPORT = "report.html"

DECODE_PREFIX = "decode_"  # the folder of a decoding is this and its name; in it lie a log and a folder for each split
HYPOTHESES = "text"  # in decode_<decode>/<split>/
DETAILS = "nbest.jsonl"  # beside it, on request: n best hypotheses, times, confidences
DECODE_LOG = "decode.log"  # in decode_<decode>/
DECODED = ".done.json"  # what the hypotheses were made from
SCORES = "scores.json"  # all numbers; its existence marks a finished scoring
UTTERANCES = "utterances.tsv"  # texts and errors of each utterance
