"""What explains the errors of a language: facts beside the other languages', associations, doubtful transcripts."""
