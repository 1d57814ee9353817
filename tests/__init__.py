"""Everything that says whether the books are in order."""
