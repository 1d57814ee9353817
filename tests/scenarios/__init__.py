"""Transcripts of dca at work: a command, and below it what it answers."""
