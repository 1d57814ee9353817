"""Secrets from a file, a command or the environment: what is wrong with them is said in a sentence, without the secret."""

from __future__ import annotations

import os
import shlex
import sys
from typing import TYPE_CHECKING

import pytest

from dca import secret
from dca.core.errors import DcaError, UsageError
from tests.cli import checks

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.shell import Result, Shell

NOWHERE = 'store = "http://127.0.0.1:1/site-"\nusername = "dca"\n'
"""An Elasticsearch that nobody runs: the secret is wanted before it is asked."""


def with_config(shell: Shell, text: str, *words: str, mode: int = 0o600, **environment: str) -> Result:
    """Run dca with a config of its own, in this process."""
    path = shell.folder / "my.toml"
    path.write_text(NOWHERE + text, encoding="utf-8")
    path.chmod(mode)
    return shell.run(*words, environment={"DCA_CONFIG": str(path), "DCA_STORE": "", **environment})


def python(program: str) -> str:
    """Return a command that runs a program, as a TOML string takes it."""
    return shlex.join([sys.executable, "-c", program]).replace("\\", "\\\\").replace('"', '\\"')


@pytest.mark.parametrize(
    ("command", "status", "said"),
    [
        ("no-such-program-anywhere show", 2, "('no-such-program-anywhere') cannot be run: No such file or directory"),
        ("/", 2, "cannot be run: Permission denied"),
        ("'open", 2, "is not understood: no closing quotation"),
        (" ", 2, "names no program"),
        ("a\\u0000b", 2, "cannot be run: embedded null byte"),
        ("sh -c 'exit 7'", 3, "('sh') failed with status 7; the store was not asked"),
        ("sh -c 'echo geheim; exit 7'", 3, "('sh') failed with status 7; the store was not asked"),
        ("sh -c 'kill -9 $$'", 3, "('sh') was ended by signal 9"),
        ("true", 3, "('true') wrote nothing on the first line of its output"),
        ("sh -c 'echo; echo geheim'", 3, "('sh') wrote nothing on the first line of its output"),
        ("cat", 3, "('cat') wrote nothing on the first line"),
        (python("print('geheim' * 1_000)"), 2, "gives is too long; at most 4096 bytes"),
        (python("import os; os.write(1, bytes((103, 255, 10)))"), 2, "gives is not UTF-8"),
        ("yes geheim", 2, "('yes') wrote too much; the secret alone is wanted"),
    ],
)
@pytest.mark.parametrize("setting", ["password_command", "api_key_command"])
def test_bad_commands(setting: str, command: str, status: int, said: str, shell: Shell) -> None:
    """One sentence each, and neither output nor input of dca is the command's."""
    result = with_config(shell, f'{setting} = "{command}"', "list")
    error = checks.failure(result, status)["error"]
    assert error.startswith((setting, f"what {setting}"))
    assert said in error
    assert "geheim" not in result.out + result.err


@pytest.mark.parametrize("program", ["sleep 60", "sh -c 'exec >&-; sleep 60'"])
def test_a_command_that_hangs(program: str, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is ended, whether it keeps its output open or not."""
    monkeypatch.setattr(secret, "COMMAND_SECONDS_MAX", 0.2)
    error = checks.failure(with_config(shell, f'password_command = "{program}"', "list"), 3)["error"]
    assert "did not end in 0.2 seconds; the store was not asked" in error


def test_what_a_command_says_is_shown(shell: Shell) -> None:
    """Its standard error is that of dca; its input is none, so that lines of a batch stay dca's."""
    (shell.folder / "my.toml").write_text(
        f"{NOWHERE}password_command = \"sh -c 'cat; echo the safe is locked >&2; exit 1'\"\n", encoding="utf-8"
    )
    environment = {"DCA_CONFIG": str(shell.folder / "my.toml"), "DCA_STORE": ""}
    result = shell.process("list", stdin=b"geheim\n", environment=environment)
    checks.failure(result, 3)
    assert "the safe is locked" in result.err
    assert "geheim" not in result.out + result.err


def test_a_command_is_run_once_and_only_when_the_store_is_asked(shell: Shell) -> None:
    """Not for help, for the settings or for books in a file; once for a command that asks often, also where it fails."""
    trace = shell.folder / "trace"
    for end in ("echo geheim", "exit 1"):
        text = f"password_command = \"sh -c 'echo run >> {trace}; {end}'\""
        for words in (("config", "show"), ("help",), ("help", "list"), ("--version",), ("tenant", "nonsense")):
            with_config(shell, text, *words)
        with_config(shell, text, "list", DCA_STORE=shell.store)
        with_config(shell, text, "list", DCA_PASSWORD="other")
        assert not trace.exists()
        checks.failure(with_config(shell, text, "doctor", "--wait=0"), 3)
        assert trace.read_text(encoding="utf-8") == "run\n"
        trace.unlink()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "has nothing on its first line"),
        (b"\ngeheim\n", "has nothing on its first line"),
        (b"geheim\xff\n", "is not UTF-8"),
        (b"geheim" * 20_000, "is too long; at most 4096 bytes"),
    ],
)
@pytest.mark.parametrize("setting", ["password_file", "api_key_file"])
def test_bad_files(setting: str, data: bytes, said: str, shell: Shell) -> None:
    """One sentence each, with the file."""
    path = shell.folder / "geheimnis"
    path.write_bytes(data)
    path.chmod(0o600)
    result = with_config(shell, f'{setting} = "~/{path.name}"', "list")
    error = checks.failure(result, 2)["error"]
    assert f"{setting} {path}" in error.replace("'", "")
    assert said in error
    assert "geheimgeheim" not in result.out + result.err


def test_files_that_cannot_be_read(shell: Shell) -> None:
    """A missing one, a folder, and a pipe into which nobody writes."""
    os.mkfifo(shell.folder / "pipe")
    for name, said in (("none", "cannot be read: No such file"), ("", "is not a file"), ("pipe", "is not a file")):
        result = with_config(shell, f'password_file = "{shell.folder}/{name}"', "list")
        assert said in checks.failure(result, 2)["error"]
    assert "cannot be read: embedded null byte" in with_config(shell, 'password_file = "a\\u0000"', "list").out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('password = "geheim"\npassword_file = "f"', "gives password and password_file; keep one of them"),
        ('password_command = "c"\npassword_file = "f"', "gives password_file and password_command; keep one of them"),
        ('api_key = "geheim"\npassword = "geheim"', "gives password and api_key; keep one of them"),
        ('api_key_file = "f"\napi_key_command = "c"', "gives api_key_file and api_key_command; keep one of them"),
        ("password_command = 5", "password_command must be a text in quotes"),
        ('api_key = "geheim geheim"', "api_key is no API key"),
        ('api_key = "geheim\\r\\nx-evil: 1"', "api_key is no API key"),
        ('api_key = "gehe\u00fcm"', "api_key is no API key"),
    ],
)
def test_settings_that_do_not_go(text: str, said: str, shell: Shell) -> None:
    """Two secrets at once, or one that cannot be sent."""
    result = with_config(shell, text, "list")
    assert said in checks.failure(result, 2)["error"]
    assert "geheim" not in result.out + result.err


def test_environments_that_do_not_go(shell: Shell) -> None:
    """Two secrets at once, one without its user, one that cannot be sent."""
    both = with_config(shell, "", "list", DCA_PASSWORD="geheim", DCA_API_KEY="geheim")
    assert "DCA_PASSWORD and DCA_API_KEY are both set" in checks.failure(both, 2)["error"]
    alone = shell.run("list", environment={"DCA_STORE": "http://127.0.0.1:1", "DCA_PASSWORD": "geheim"})
    assert "password is given and no user" in checks.failure(alone, 2)["error"]
    spaced = with_config(shell, "", "list", DCA_API_KEY="geheim geheim")
    assert "api_key is no API key" in checks.failure(spaced, 2)["error"]
    broken = with_config(shell, "", "list", DCA_PASSWORD="geheim\udcff")
    assert "password is not UTF-8" in checks.failure(broken, 2)["error"]
    for result in (both, alone, spaced, broken):
        assert "geheim" not in result.out + result.err


def test_the_environment_goes_before_the_config(shell: Shell) -> None:
    """Its secret takes the place of any that the config names, also in what config show prints."""
    for text in ('password = "x"', 'password_file = "f"', 'password_command = "c"', 'api_key_command = "c"'):
        shown = with_config(shell, text, "config", "show", DCA_USERNAME="ann", DCA_PASSWORD="geheim")
        settings = shown.answer["config"]
        assert [settings[name] for name in ("username", "password")] == ["ann", "***"]
        assert not any(settings[f"{kind}_{way}"] for kind in ("password", "api_key") for way in ("file", "command"))
        assert "geheim" not in shown.out + shown.err


def test_open_files_are_told(shell: Shell) -> None:
    """A secret that others may read, an authority that others may write; the doctor says the same."""
    path, folder = shell.folder / "file", shell.folder / "folder"
    path.write_text("geheim\n", encoding="utf-8")
    folder.mkdir()
    inner = folder / "file"
    inner.write_text("geheim\n", encoding="utf-8")
    inner.chmod(0o600)
    for setting, file, mode, around, said in (
        ("password_file", path, 0o600, 0o700, ""),
        ("password_file", path, 0o644, 0o700, f"password_file: {path} holds a secret and has mode 0644"),
        ("api_key_file", path, 0o640, 0o700, f"api_key_file: {path} holds a secret and has mode 0640"),
        ("api_key_file", inner, 0o600, 0o777, f"lies in {folder}, where others may put another in its place"),
        ("api_key_file", inner, 0o600, 0o1777, ""),
        ("ca_file", path, 0o644, 0o700, ""),
        ("ca_file", path, 0o666, 0o700, f"ca_file: {path} has mode 0666, others may write it"),
        ("ca_file", inner, 0o644, 0o777, "they could vouch for a false server"),
    ):
        file.chmod(mode)
        folder.chmod(around)
        result = with_config(shell, f'{setting} = "{file}"', "config", "show")
        assert (said in result.err) if said else (result.err == ""), (setting, file, mode, result)
        assert f'"{setting}": "{file}"' in result.out
        checked = with_config(shell, f'{setting} = "{file}"', "doctor", DCA_STORE=shell.store).answer["checks"]
        (line,) = [one for one in checked if one["name"] == setting]
        assert line["state"] == ("warning" if said else "ok")
        assert said.partition(": ")[2] in line["found"]


def test_a_command_that_others_may_have_written_is_not_run(shell: Shell) -> None:
    """It would run with the rights of whoever runs dca."""
    trace = shell.folder / "trace"
    text = f'password_command = "touch {trace}"'
    result = with_config(shell, text, "list", mode=0o620)
    assert "is not run, since config" in checks.failure(result, 2)["error"]
    assert "has mode 0620, others may write it" in result.err
    if os.geteuid() == 0:
        os.chown(shell.folder / "my.toml", 65_534, -1)
        result = with_config(shell, text, "list")
        assert "who may write it" in checks.failure(result, 2)["error"]
    assert not trace.exists()


def test_a_failure_is_kept(tmp_path: Path) -> None:
    """Asked again, what failed fails with the same sentence and is not tried again."""
    asked = []

    def ask() -> str:
        asked.append(1)
        return secret.from_file("password_file", tmp_path / "none")

    once = secret.Once(ask)
    for _ in range(2):
        with pytest.raises(UsageError, match="cannot be read"):
            once()
    assert asked == [1]
    assert issubclass(UsageError, DcaError)
