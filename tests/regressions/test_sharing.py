"""Books that a group shares."""

from pathlib import Path

from tests.cli.shell import Shell, scratch


def test_the_lock_is_for_the_same_people_as_the_books() -> None:
    """Whoever may write the books may also queue for them."""
    with scratch() as folder:
        shell = Shell(folder)
        shell.ok("tenant", "add", "--tenant=acme")
        lock = Path(f"{shell.file}.lock")
        assert lock.stat().st_mode & 0o777 == shell.file.stat().st_mode & 0o777 == 0o600
        shell.file.chmod(0o660)
        shell.ok("tenant", "add", "--tenant=blue")
        assert lock.stat().st_mode & 0o777 == 0o660
