"""Who may run what: every role with every command on what is theirs, what is another's and the whole site."""
