"""For every test: the fixtures of Elasticsearch and of books on it, and the marker `torture` of what takes minutes.

Tests that are marked so are left out unless asked for: python -m pytest -m torture.
"""

import signal

import hypothesis
import pytest

pytest_plugins = ("tests.elasticsearch_server.fixtures", "tests.elastic.fixtures")


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known, and let Ctrl-C reach the programs that tests start: in a script's background it would not."""
    hypothesis.settings.register_profile("dca", deadline=None)  # a machine with other work is slow, and no less right
    hypothesis.settings.load_profile("dca")
    signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "torture: a test that takes minutes (run with -m torture)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes minutes, unless a choice of markers names it."""
    if "torture" in config.option.markexpr:
        return
    left_out = [item for item in items if item.get_closest_marker("torture")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
