"""The pure core: no files, no network, no database, no JSON, no randomness, no clock of its own."""
