"""The scripts as they are shipped, their settings, and the page that explains them."""

import os
import re
import subprocess

import pytest

from tests.hooks.site import HOOKS, ROOT

PAGE = (ROOT / "docs" / "hooks.md").read_text()
SCRIPTS = ("dca-prolog-slurmctld", "dca-epilog-slurmctld", "dca-spool-send")
SETTING = re.compile(r"^#([A-Z_]+)='([^']*)'", re.MULTILINE)


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_can_be_run(name: str) -> None:
    """They are executable, and sh understands them."""
    assert os.access(HOOKS / name, os.X_OK)
    assert subprocess.run(["sh", "-n", HOOKS / name], capture_output=True, check=False).stderr == b""


def test_every_file_is_explained() -> None:
    """The page names each file of the folder."""
    assert [path.name for path in HOOKS.iterdir() if path.name not in PAGE] == []


def test_every_setting_is_explained() -> None:
    """What the scripts read is in hooks.conf with its default, and on the page."""
    used = set(re.findall(r"\bDCA_(?:HOOK_[A-Z]+(?:_[A-Z]+)*|COMMAND)\b", (HOOKS / "dca-hooks.sh").read_text()))
    shown = dict(SETTING.findall((HOOKS / "hooks.conf").read_text()))
    assert used - set(shown) == {"DCA_HOOK_CONF"}
    assert [name for name in sorted(used | set(shown)) if f"`{name}`" not in PAGE] == []
    for name in used & set(shown):
        script = (HOOKS / "dca-hooks.sh").read_text()
        assert f"{name}:-{shown[name]}}}" in script or f'{name}:-}}" {shown[name]})' in script, name
