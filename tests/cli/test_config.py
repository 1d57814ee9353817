"""The config and the environment: what is wrong in them is said with file and setting, secrets stay secret."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dca.config import CREDENTIALS, SECRETS, SETTINGS
from tests.cli import checks
from tests.cli.shell import Shell, as_somebody, room

if TYPE_CHECKING:
    from tests.cli.shell import Result
    from tests.elasticsearch_server.server import Server


def with_config(shell: Shell, text: str | bytes, *words: str, mode: int = 0o600, store: str = "") -> Result:
    """Run dca with a config of its own, in this process."""
    path = shell.folder / "my.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(mode)
    return shell.run(*words, environment={"DCA_CONFIG": str(path), "DCA_STORE": store})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("store = ", "is not valid TOML"),
        ("store", "is not valid TOML"),
        ("store = sqlite:/x", "is not valid TOML"),
        ('store = "a"\nstore = "b"', "is not valid TOML"),
        ("[" * 5_000, "is not valid TOML"),
        (b'store = "\xff"', "is not valid TOML"),
        (b"\x00\x01\x02", "is not valid TOML"),
        (b"\xff\xfes\x00t\x00", "is not valid TOML"),
        ('colour = "blue"', "setting 'colour' is not known"),
        ('stores = "sqlite:x"', "setting 'stores' is not known"),
        ('"sto\\nre" = "x"', "setting 'sto?re' is not known"),
        ("store = 5", "store must be a text in quotes"),
        ("store = true", "store must be a text in quotes"),
        ('hosts = ["http://a:1", "http://b:1"]', "hosts must be a text in quotes"),
        ('network_file_system = "yes"', "network_file_system must be true or false"),
        ("network_file_system = 1", "network_file_system must be true or false"),
        ('[store]\npath = "x"', "store must be a text in quotes"),
    ],
)
@pytest.mark.parametrize("words", [("list",), ("config", "show"), ("setup",), ("rate", "set", "--rate=1")])
def test_bad_configs(text: str | bytes, said: str, words: tuple[str, ...], shell: Shell) -> None:
    """A config that is wrong stops every command, with the file and what is wrong in it."""
    answer = checks.failure(with_config(shell, text, *words), 2)
    assert str(shell.folder / "my.toml") in answer["error"]
    assert said in answer["error"]
    assert not shell.file.exists()


@pytest.mark.parametrize(
    "make", [os.mkdir, lambda path: Path(path).symlink_to(path), os.mkfifo], ids=["folder", "loop", "absent"]
)
def test_configs_that_cannot_be_read(make: object, shell: Shell) -> None:
    """A config that cannot be read is said to be so."""
    path = shell.folder / "my.toml"
    if make is not os.mkfifo:
        make(path)  # type: ignore[operator]
    answer = checks.failure(shell.run("list", environment={"DCA_CONFIG": str(path)}), 2)
    assert str(path) in answer["error"]


def test_config_of_somebody_else(shell: Shell) -> None:
    """A config that the user may not read is said to be so."""
    (shell.folder / "my.toml").touch(mode=0)
    shell.folder.chmod(0o755)
    result = as_somebody(shell, "list", environment={"DCA_CONFIG": str(shell.folder / "my.toml")})
    assert "cannot be read" in checks.failure(result, 2)["error"]


def test_nobody_without_a_home(shell: Shell) -> None:
    """A user whom the machine does not know, without HOME, can use books that are named, and is told where ~ is needed."""
    shell.ok("setup")
    environment = {"HOME": "", "DCA_STORE": ""}
    shell.folder.chmod(0o777)
    result = as_somebody(shell, "list", user=54_321, environment=environment)
    assert "set HOME" in checks.failure(result, 2)["error"]
    result = as_somebody(
        shell, "tenant", "add", "--tenant=acme", user=54_321, environment={"HOME": "", "DCA_STORE": "sqlite:own.db"}
    )
    if os.geteuid() == 0:
        checks.success(result)
        result = as_somebody(shell, "log", "list", user=54_321, environment={"HOME": "", "DCA_STORE": "sqlite:own.db"})
        assert checks.success(result)["log"][0]["actor"] == "uid:54321"


@pytest.mark.parametrize(
    ("text", "mode", "warned"),
    [
        ('password = "x"\n', 0o644, True),
        ('password = "x"\n', 0o640, True),
        ('password = "x"\n', 0o600, False),
        ('password = ""\n', 0o644, False),
        ('username = "x"\n', 0o644, False),
        ('api_key = "x"\n', 0o604, True),
        ('store = "http://u:p@127.0.0.1:1/x"\n', 0o644, True),
        ('hosts = "http://u:p@127.0.0.1:1"\n', 0o644, True),
    ],
)
def test_open_secrets(text: str, mode: int, *, warned: bool, shell: Shell) -> None:
    """A config that holds a secret and is open to others gets a warning that says what to do; the secret is not shown."""
    result = with_config(shell, text, "config", "show", mode=mode)
    checks.success(result)
    assert (f"chmod 600 {shell.folder / 'my.toml'}" in result.err) is warned
    assert bool(result.err) is warned
    assert "***" in result.out or '"x"' not in text or "username" in text
    assert "u:p@" not in result.out


def test_secrets_are_masked(shell: Shell) -> None:
    """Config show prints every setting, and no secret in any form."""
    values = {one.name: f"geheim-{one.name}-" for one in SETTINGS if one.type is str}
    values |= {"store": "http://me:geheim-store-@host:9200/p-", "hosts": "http://me:geheim-hosts-@a:1,http://b:2"}
    for secret in SECRETS:
        given = {name: value for name, value in values.items() if name not in SECRETS or name == secret}
        text = "\n".join(f'{name} = "{value}"' for name, value in given.items())
        for form in ("json", "table", "csv"):
            out = with_config(shell, text, "config", "show", f"--format={form}").out
            for one in SETTINGS:
                assert one.name in out
                hidden = one.secret or one.name in ("store", "hosts")
                assert (f"geheim-{one.name}-" in out) is (one.name in given and not hidden), one.name


@pytest.mark.parametrize(
    "store",
    [
        "sqlite:", "sqlite", "books.db", "/books.db", "SQLITE:x", "mysql://x", "ftp://host/x", "file:///x", ":", "http:", "https://",
        "http://", "http://:9200", "http://host:port", "http://host:99999", "http://[::1", "http://host:9200/Upper", "http://host:9200/a/b",
        "http://host:9200/a*", "http://ho st:9200", "http://user:geheim@:9200", "ftp://user:geheim@host/x", "http://user:geheim@host:x",
        "http://host:9200/_x", "http://host:9200/-x", "http://host:9200?x=1",
    ],
)  # fmt: skip
def test_stores_that_are_none(store: str, shell: Shell) -> None:
    """An address that is none is wrong usage, told without the password in it, and nothing is asked anywhere."""
    for words in (("list",), ("rate", "set", "--rate=1"), ("config", "show")):
        result = shell.run(*words, environment={"DCA_STORE": store})
        checks.failure(result, 2)
        assert "geheim" not in result.out + result.err


def test_a_home_that_is_none(shell: Shell) -> None:
    """Without a usable home folder dca says what cannot be used."""
    answer = checks.failure(shell.run("list", environment={"HOME": "/nowhere/at/all", "DCA_STORE": ""}), 3)
    assert "/nowhere/at/all" in answer["error"]
    answer = checks.failure(
        shell.run("rate", "set", "--rate=1", environment={"HOME": "/proc/nowhere", "DCA_STORE": ""}), 3
    )
    assert "/proc/nowhere" in answer["error"]


def test_setup_writes_a_private_config(shell: Shell) -> None:
    """The config that setup writes is its owner's alone, loads, and keeps no password."""
    shell.ok("setup")
    path = shell.folder / ".dca" / "config"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    written = path.read_text(encoding="utf-8")
    for one in SETTINGS:
        assert f"{one.name} = " in written
    shell.ok("config", "show", environment={"DCA_STORE": ""})
    path.write_text("# mine\n", encoding="utf-8")
    shell.ok("setup")
    assert path.read_text(encoding="utf-8") == "# mine\n", "setup must not write over a config"


def test_setup_keeps_paths_whole(shell: Shell) -> None:
    """A relative path given in the environment becomes a whole one in the config: it means the same books everywhere."""
    shell.ok("setup", environment={"DCA_STORE": "sqlite:here.db"})
    other = shell.folder / "elsewhere"
    other.mkdir()
    answer = shell.ok("config", "show", environment={"DCA_STORE": ""})
    assert answer["config"]["store"] == f"sqlite:{shell.folder / 'here.db'}"


def test_setup_where_no_config_can_be(shell: Shell) -> None:
    """When the config cannot be written setup says so and makes no books."""
    (shell.folder / ".dca").write_text("a file, no folder\n", encoding="utf-8")
    answer = checks.failure(shell.run("setup"), 2)
    assert str(shell.folder / ".dca") in answer["error"]
    assert "name another place for it in DCA_CONFIG" in answer["error"]
    assert not shell.file.exists()
    shell.ok("setup", environment={"DCA_CONFIG": str(shell.folder / "config")})
    assert (shell.folder / "config").exists()


def test_config_in_a_private_folder(shell: Shell) -> None:
    """A config in a folder of somebody else's is said to be unreadable, not to be missing."""
    if os.geteuid() != 0:
        pytest.skip("only root can be somebody else")
    (shell.folder / "private").mkdir(mode=0o700)
    (shell.folder / "private" / "config").touch()
    shell.folder.chmod(0o755)
    environment = {"DCA_CONFIG": str(shell.folder / "private" / "config")}
    for words in (("list",), ("setup",), ("config", "show")):
        answer = checks.failure(as_somebody(shell, *words, environment=environment), 2)
        assert "cannot be read" in answer["error"]


def test_config_that_finds_no_room(shell: Shell) -> None:
    """When a full disk cuts the config short none is left: half a config would mean other books."""
    with room(100):
        answer = checks.failure(shell.run("setup"), 2)
    assert "cannot be written" in answer["error"]
    assert not path_of(shell).exists()
    shell.ok("setup")


def path_of(shell: Shell) -> Path:
    """Return where setup writes the config."""
    return shell.folder / ".dca" / "config"


def test_environment_goes_before_config(shell: Shell) -> None:
    """DCA_STORE goes before the config's store and hosts; DCA_CONFIG goes before the usual places."""
    shell.ok("setup")
    path_of(shell).write_text('hosts = "http://127.0.0.1:1"\n', encoding="utf-8")
    assert shell.ok("rate", "get")["rate"] == 0
    checks.failure(shell.run("rate", "get", "--wait=1", environment={"DCA_STORE": ""}), 3)
    assert with_config(shell, f'store = "{shell.store}"', "rate", "get").status == 0


ELSEWHERE = (
    "http://es3:9200/site-",
    "http://es1:9201",
    "https://es1",
    "http://me@es1.example.org",
    "http://x@es1:9200@es3:9200",
)


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("named", ['store = "http://es1/site-"', 'hosts = "http://es2:9200, http://me@ES1:9200"'])
def test_credentials_go_to_hosts_that_the_config_names(named: str, secret: str, shell: Shell) -> None:
    """DCA_STORE may name another of the config's hosts; at any other place the config's secrets are nobody's business."""
    text = f'{named}\nusername = "dca"\n{secret} = "a2V5"\nprefix = "site-"\n'
    for store in ("http://es1:9200/other-", "http://me@es1", ""):
        shown = with_config(shell, text, "config", "show", store=store)
        assert shown.answer["config"]["username"] == "dca"
        assert shown.answer["config"][secret] in ("***", "a2V5")
        assert shown.err == ""
    for store in ELSEWHERE:
        shown = with_config(shell, text, "config", "show", store=store)
        settings = shown.answer["config"]
        assert [settings[name] for name in CREDENTIALS] == [""] * len(CREDENTIALS), store
        assert settings["prefix"] == "site-"
        assert f"username and {secret} of config" in shown.err
        assert "are not sent to" in shown.err
    given = {"DCA_CONFIG": str(shell.folder / "my.toml"), "DCA_STORE": ELSEWHERE[0], "DCA_API_KEY": "aWQ6a2V5"}
    shown = shell.run("config", "show", environment=given)
    assert (shown.answer["config"]["api_key"], shown.err) == ("***", ""), "what the environment gives is for DCA_STORE"


def test_config_show_says_which_store_is_in_use(shell: Shell) -> None:
    """With hosts, the store of the config or of the default is not."""
    settings = with_config(shell, 'hosts = "http://es1:9200"', "config", "show").answer["config"]
    assert (settings["store"], settings["hosts"]) == ("", "http://es1:9200")


def test_setup_says_that_it_keeps_no_password(folder: Path, elasticsearch: Server, prefix: str) -> None:
    """The config it writes lacks the one that DCA_STORE has."""
    result = Shell(folder, f"{elasticsearch.url}/{prefix}").run("setup")
    assert result.status == 0, result
    assert "the password in DCA_STORE was not written into" in result.err
    written = (folder / ".dca" / "config").read_text(encoding="utf-8")
    assert f":{elasticsearch.password}@" not in result.err + result.out + written


def test_setup_of_a_store_that_is_not_there_writes_no_config(shell: Shell) -> None:
    """Nothing is written where nobody can be asked whether the caller may."""
    result = shell.run("setup", "--wait=0", environment={"DCA_STORE": "http://me:geheim@127.0.0.1:1/p-"})
    assert result.status == 3
    assert "geheim" not in result.err + result.out
    assert not (shell.folder / ".dca" / "config").exists()
