"""Command-line entry points, one module per stage: parse, call one library function, say what was written."""
