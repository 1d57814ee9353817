"""The core: pure functions, stated as properties."""
