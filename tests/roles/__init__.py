"""Who may run which command, on both stores, with real users."""
