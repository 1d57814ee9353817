"""Readers of scheduler records: real logs, every oddity, and random ones."""
