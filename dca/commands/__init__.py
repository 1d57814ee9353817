"""Commands: one table, and one file per noun."""
