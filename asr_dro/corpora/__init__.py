"""Corpora: each reader turns one published layout into the data directory."""
