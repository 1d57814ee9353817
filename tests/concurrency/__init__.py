"""Real processes: many at once, and some that end between two operations of their store."""
