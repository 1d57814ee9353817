"""A key to sign checkpoints with, known to everybody: for tests only."""

PRIVATE = """\
-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
"""
PUBLIC = """\
-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
"""
OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEwr3Th9vJmNTXVGsFlUmlnqhq1CqHnCXEI7shLNbb9w somebody"
