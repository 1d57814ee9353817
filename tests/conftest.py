"""Fixtures for every test: `elasticsearch`, the server, `prefix`, a name of its own for each test on it, and books."""

pytest_plugins = ("tests.elasticsearch_server.fixtures", "tests.elastic.fixtures")
