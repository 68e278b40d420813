"""Search: from log-probabilities to text."""
