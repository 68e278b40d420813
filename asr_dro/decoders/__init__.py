"""Autoregressive decoders: one loss per utterance, and search."""
