"""Shows transcripts as they run now, on SQLite if they can: python -m tests.scenarios.record [--write] [--whole] FILE...

Answers that still fit stay as they are written, unless --whole asks for what lines of `...` stand for. With --write the files
are brought up to date. Read the difference before you commit it: a transcript is what dca promises.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.cli.shell import Shell, scratch
from tests.scenarios.transcript import STORES, Run, Transcript, normalised, read

SLURM = Path(__file__).parent.parent / "data" / "slurm"


def recorded(path: Path, *, whole: bool) -> str:
    """Return a transcript with the answers that its commands give now."""
    lines = path.read_text(encoding="utf-8").splitlines()
    transcript = read(path)
    pieces: dict[int, tuple[int, list[str]]] = {}
    with scratch() as folder:
        shell = Shell(folder, _distant(transcript))
        if transcript.stores == STORES:
            shell.ok("setup")
        run = Run(shell, SLURM)
        for step in transcript.steps:
            answered, _ = run.do(step)
            if not run.matches(step, answered) or (whole and "..." in step.expected):
                begin = step.line + step.document.count("\n")
                pieces[begin] = (len(step.expected), [normalised(line, run.given, run.kept) for line in answered])
    for begin, (count, answered) in sorted(pieces.items(), reverse=True):
        lines[begin : begin + count] = answered
    return "\n".join(lines) + "\n"


def _distant(transcript: Transcript) -> str:
    """Return new books on the server that DCA_TEST_ELASTICSEARCH names, for a transcript that runs there only."""
    if transcript.stores != ("elasticsearch",):
        return ""
    return f"{os.environ['DCA_TEST_ELASTICSEARCH']}/recorded{os.getpid()}-"


def main() -> None:
    """Show or write the transcripts named."""
    for name in sys.argv[1:]:
        if name.startswith("--"):
            continue
        text = recorded(Path(name), whole="--whole" in sys.argv)
        if "--write" in sys.argv:
            Path(name).write_text(text, encoding="utf-8")
        else:
            sys.stdout.write(text)


if __name__ == "__main__":
    main()
