"""Error rates and language identification, per utterance and per language."""
