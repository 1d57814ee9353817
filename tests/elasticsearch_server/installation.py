"""Fetch Elasticsearch from Maven Central, once a user and machine, and make it fit for the tests.

What Elastic publishes there, for the integration tests of plugins, is the real server with security. It lacks scripts,
update, delete and reindex by query, all ingest processors but those of security, SQL, ES|QL and life cycles: what is
built on these needs Docker to be tested. Two small things that security and the Python client ask for are put back by
`CompletionPlugin.java`.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.elasticsearch_server.server import PASSWORD, VARIABLE, VERSION, MissingServerError

JAVA_MIN = 21
ARTIFACT = f"org.elasticsearch.distribution.integ-test-zip:elasticsearch:{VERSION}:zip"
COPY_GOAL = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
STEP_SECONDS_MAX = 900
PLUGIN = Path(__file__).with_name("CompletionPlugin.java")
DESCRIPTOR = f"""\
name=completion
description=What this distribution lacks for the tests of dca
version=1
elasticsearch.version={VERSION}
java.version={JAVA_MIN}
classname=dca.testing.CompletionPlugin
"""
MISSING = (
    "The tests need a real Elasticsearch and found none: install a Docker engine, "
    f"or Maven and a JDK {JAVA_MIN} or newer (JAVA_HOME may name it), "
    f"or set {VARIABLE} to http://user:password@host:9200 of a server that may be filled with test data."
)


def cache_directory() -> Path:
    """Return the place for what outlasts a run; for root one that the user nobody can enter."""
    if os.geteuid() == 0:
        directory = Path("/var/cache/dca-test")
    else:
        directory = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dca-test"
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o755)
    return directory


def find_java_home() -> Path:
    """Return the JDK that the environment names, or else the newest one of this machine."""
    for home in _java_homes():
        if (home / "bin/javac").exists() and _java_version(home) >= JAVA_MIN:
            return home
    raise MissingServerError(MISSING)


def _java_homes() -> Iterator[Path]:
    yield from (Path(os.environ[name]) for name in ("ES_JAVA_HOME", "JAVA_HOME") if os.environ.get(name))
    if javac := shutil.which("javac"):
        yield Path(javac).resolve().parents[1]
    yield from sorted(Path("/usr/lib/jvm").glob("*"), key=_java_version, reverse=True)
    macos = Path("/usr/libexec/java_home")
    if macos.exists():
        found = subprocess.run([macos, "-v", f"{JAVA_MIN}+"], capture_output=True, text=True, check=False)
        yield Path(found.stdout.strip())


def _java_version(home: Path) -> int:
    try:
        lines = (home / "release").read_text().splitlines()
    except OSError:
        return 0
    version = next((line for line in lines if line.startswith("JAVA_VERSION=")), "")
    digits = version.partition("=")[2].strip('"').partition(".")[0].partition("-")[0]
    return int(digits) if digits.isdigit() else 0


def installed(java_home: Path) -> Path:
    """Return the unpacked server, after building it if nobody has; processes that come at once wait for the first."""
    recipe = hashlib.sha256(PLUGIN.read_bytes() + DESCRIPTOR.encode() + PASSWORD.encode()).hexdigest()
    home = cache_directory() / f"elasticsearch-{VERSION}-{recipe[:8]}"
    with (cache_directory() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not home.exists():
            _build(home, java_home)
    return home


def _build(home: Path, java_home: Path) -> None:
    sys.stderr.write(f"Elasticsearch {VERSION} is fetched and unpacked to {home}, once.\n")
    site = home.with_name(f"{home.name}.unfinished")
    shutil.rmtree(site, ignore_errors=True)
    site.mkdir()
    with zipfile.ZipFile(_fetched(site, java_home)) as archive:
        archive.extractall(site)
    unpacked = site / f"elasticsearch-{VERSION}"
    for path in (unpacked, *unpacked.rglob("*")):
        path.chmod(0o755)  # archives lose the modes in unpacking, and the user nobody must read it all
    _add_plugin(unpacked, java_home)
    _add_password(unpacked, java_home)
    unpacked.rename(home)
    shutil.rmtree(site)


def _fetched(site: Path, java_home: Path) -> Path:
    maven = shutil.which("mvn")
    if not maven:
        raise MissingServerError(MISSING)
    goal = [COPY_GOAL, f"-Dartifact={ARTIFACT}", f"-DoutputDirectory={site}"]
    _run([maven, "--quiet", "--batch-mode", *goal], {"JAVA_HOME": str(java_home), **os.environ})
    return next(site.glob("*.zip"))


def _add_plugin(home: Path, java_home: Path) -> None:
    folder, classes = home / "plugins/completion", home.parent / "classes"
    folder.mkdir()
    target = ["--release", str(JAVA_MIN), "-cp", f"{home}/lib/*", "-d", str(classes), str(PLUGIN)]
    _run([java_home / "bin/javac", *target], os.environ)
    _run([java_home / "bin/jar", "--create", "--file", folder / "completion.jar", "-C", classes, "."], os.environ)
    (folder / "plugin-descriptor.properties").write_text(DESCRIPTOR)
    for path in (folder, *folder.iterdir()):
        path.chmod(0o755)


def _add_password(home: Path, java_home: Path) -> None:
    keystore = home / "bin/elasticsearch-keystore"
    environment = {**os.environ, "ES_JAVA_HOME": str(java_home)}
    _run([keystore, "create"], environment)
    _run([keystore, "add", "--stdin", "bootstrap.password"], environment, PASSWORD)


def _run(command: Sequence[str | Path], environment: Mapping[str, str], answer: str = "") -> None:
    done = subprocess.run(
        command,
        env=environment,
        input=answer,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=STEP_SECONDS_MAX,
    )
    if done.returncode:
        raise MissingServerError(f"{Path(command[0]).name} failed while Elasticsearch was prepared:\n{done.stdout}")
