"""The commit protocol under every interleaving of its single-document operations."""
