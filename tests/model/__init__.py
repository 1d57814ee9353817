"""Random histories of commands, run on every store at once and held against a second, simpler writing of the rules."""
