"""Many commands in one stream of lines."""
