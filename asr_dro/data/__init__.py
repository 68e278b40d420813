"""The data directory, audio decoding, languages and tokens."""
