"""The docs are true: generated pages are fresh, links lead somewhere, and what the README shows works."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from dca import reference
from dca.commands.table import COMMANDS
from dca.config import SETTINGS
from dca.core.errors import KINDS

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])


def blocks(page: Path) -> list[str]:
    """Return the code blocks of a page."""
    return re.findall(r"^```\n(.*?)^```$", page.read_text(), flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def place(tmp_path: Path) -> dict[str, str]:
    """Return an environment of its own, with dca in the PATH as an installed one would be."""
    tools = tmp_path / "bin"
    tools.mkdir()
    script = tools / "dca"
    script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m dca "$@"\n')
    script.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DCA_")}
    return {**kept, "PATH": f"{tools}:{os.environ['PATH']}", "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}


def test_generated_files_are_fresh() -> None:
    """What is derived from the tables is what they say now."""
    assert reference.stale() == []


def test_reference_names_everything() -> None:
    """Every command, setting and error code is on its page."""
    commands, settings, errors = (
        (ROOT / "docs" / f"{name}.md").read_text() for name in ("commands", "configuration", "errors")
    )
    assert [command.words for command in COMMANDS if f"## dca {command.words}\n" not in commands] == []
    assert [setting.name for setting in SETTINGS if f"| `{setting.name}` |" not in settings] == []
    assert [kind.code for kind in KINDS if f"| `{kind.code}` |" not in errors] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every link to a file of the project names one that is there."""
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_page_is_reached_from_the_readme() -> None:
    """No page stands alone."""
    readme = (ROOT / "README.md").read_text()
    assert [page.name for page in PAGES if page.name != "README.md" and f"docs/{page.name}" not in readme] == []


def test_quick_start_on_sqlite_works(place: dict[str, str]) -> None:
    """The commands of the README's quick start succeed, word by word, on a fresh machine."""
    (block,) = (one for one in blocks(ROOT / "README.md") if "tenant add --tenant=acme" in one)
    done = subprocess.run(["sh", "-e"], input=block, env=place, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count('"status": "success"') == block.count("\ndca ") + 1 - block.count("--format=table")
    assert Path(place["HOME"], ".dca/dca.db").exists()


def test_tour_works(place: dict[str, str]) -> None:
    """The tour runs through, leaves nothing behind, and shows what the README quotes."""
    place["TMPDIR"] = place["HOME"]
    done = subprocess.run(["sh", "docs/tour.sh"], cwd=ROOT, env=place, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [one.name for one in Path(place["HOME"]).iterdir()] == ["bin"]
    assert "charged: 178\n" in done.stdout
    (quoted,) = (one for one in blocks(ROOT / "README.md") if "job import" in one)
    for line in quoted.splitlines():
        if line and not line.startswith(("$", "...", "batch:")):
            assert " ".join(line.split()) in " ".join(done.stdout.split()), line
