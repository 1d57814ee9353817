"""Fixtures for every test: `elasticsearch`, the server, and `prefix`, a name of its own for each test on it."""

pytest_plugins = ("tests.elasticsearch_server.fixtures",)
