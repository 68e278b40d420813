"""Trained models at work: stage 5 (searches, batches of whole sets) and transcription of single recordings."""
