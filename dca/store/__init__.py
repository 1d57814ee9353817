"""Stores: where the books are kept; one port, three adapters."""
