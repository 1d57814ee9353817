"""Defects that were found and mended: each test fails on the code before it."""
