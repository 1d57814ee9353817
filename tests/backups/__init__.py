"""Backups: the file, making and restoring one, and moving books from store to store."""
