"""The contract of the command line: answers, exit statuses, bad input, bad stores."""
