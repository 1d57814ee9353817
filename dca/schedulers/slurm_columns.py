"""The columns of sacct: which dca needs, what they look like, and how a line is cut into them."""

import re
from itertools import pairwise
from operator import itemgetter

from dca.core.errors import UsageError
from dca.core.names import shown
from dca.schedulers.job import UnreadableError

BARS_MAX = 200

COMMAND = (
    "sacct -a -D -X -P --format=JobIDRaw,Cluster,Partition,Account,User,State,Submit,Start,End,ElapsedRaw,"
    "AllocCPUS,NNodes,AllocTRES,NodeList"
)
"""The command that takes a log which can never be misread: all that is needed and nothing that users write."""

ROLES = {
    "job": ("jobidraw", "jobid"),
    "state": ("state",),
    "submit": ("submit",),
    "start": ("start",),
    "end": ("end",),
    "elapsed": ("elapsedraw", "elapsed"),
    "cores": ("alloccpus", "ncpus", "alloctres"),
    "nodes": ("nnodes", "allocnodes", "alloctres"),
    "account": ("account",),
    "user": ("user",),
    "cluster": ("cluster",),
    "queue": ("partition",),
    "tres": ("alloctres",),
    "nodelist": ("nodelist",),
}
"""What a record must tell, and the columns that can tell it, the best first."""

OPTIONAL = frozenset({"cluster", "queue", "tres", "nodelist"})

_NUMBER = re.compile(r"[0-9]*")
_COUNT = re.compile(r"(?:[0-9.]+[KMGTP]?)?")
_NAME = re.compile(r"\S*")
_WORDS = re.compile(r"[^\n]*")
_DURATION = re.compile(r"(?:[0-9-]*[0-9]+:[0-9:.]+)?|INVALID|UNLIMITED|Partition_Limit")
_TIME = re.compile(r"[0-9]{4}-[0-9T:+Z -]+|[0-9]{9,}|Unknown|None|N/A")
_TRES = re.compile(r"(?:[^=,\n]+=[^=,\n]*(?:,[^=,\n]+=[^=,\n]*)*)?")
_CODE = re.compile(r"(?:[0-9]+:[0-9]+)?")
_STATE = re.compile(r"[A-Z][A-Z_]*(?: by \S+)?")
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]+")
_JOB = re.compile(r"[0-9]+(?:[_+][^\s|]+)?(?:\.\S+)?")

_KINDS: dict[re.Pattern[str], str] = {
    _JOB: "JobID JobIDRaw",
    _STATE: "State",
    _TIME: "Submit Start End Eligible",
    _DURATION: "Elapsed CPUTime UserCPU SystemCPU TotalCPU Suspended Timelimit Reserved Planned ResvCPU PlannedCPU"
    " AveCPU MinCPU",
    _NUMBER: "ElapsedRaw CPUTimeRAW UID GID AssocID DBIndex QOSRAW WCKeyID ReservationId NTasks Priority Restarts",
    _COUNT: "AllocCPUS NCPUS ReqCPUS AllocNodes NNodes ReqNodes",
    _TRES: "AllocTRES ReqTRES TRESUsageInAve TRESUsageInMax TRESUsageInMaxNode TRESUsageInMaxTask TRESUsageInMin"
    " TRESUsageInMinNode TRESUsageInMinTask TRESUsageInTot TRESUsageOutAve TRESUsageOutMax TRESUsageOutMaxNode"
    " TRESUsageOutMaxTask TRESUsageOutMin TRESUsageOutMinNode TRESUsageOutMinTask TRESUsageOutTot",
    _CODE: "ExitCode DerivedExitCode",
    _NAME: "Account User Cluster Partition QOS ReqMem BlockID McsLabel",
    _WORDS: "NodeList Group Flags Layout Reason TimelimitRaw ConsumedEnergy ConsumedEnergyRaw Reservation ResvCPURAW"
    " PlannedCPURAW ReqGRES AllocGRES ReqCPUFreq ReqCPUFreqGov ReqCPUFreqMax ReqCPUFreqMin AveCPUFreq AveDiskRead"
    " AveDiskWrite AvePages AveRSS AveVMSize MaxDiskRead MaxDiskReadNode MaxDiskReadTask MaxDiskWrite MaxDiskWriteNode"
    " MaxDiskWriteTask MaxPages MaxPagesNode MaxPagesTask MaxRSS MaxRSSNode MaxRSSTask MaxVMSize MaxVMSizeNode"
    " MaxVMSizeTask MinCPUNode MinCPUTask",
}

SPELLING = {name.lower(): name for names in _KINDS.values() for name in names.split()}

SHAPES = {name.lower(): shape for shape, names in _KINDS.items() for name in names.split()} | {"": re.compile("")}
"""What a column's values look like, in every record that sacct writes. A column that is not here may hold any text,
bars and line breaks too: JobName, Comment, SubmitLine, WorkDir, WCKey, Constraints, and any that is new."""

_UNHEADED_NAMES = (
    "jobid jobidraw cluster partition qos account group gid user uid submit eligible start end elapsed exitcode state"
    " nnodes ncpus reqcpus reqmem reqtres alloctres timelimit nodelist jobname"
)
UNHEADED = _UNHEADED_NAMES.split()
"""The columns of a log without a header, as Open XDMoD's helper has sacct write it."""


class Layout:
    """How the lines of one log are cut: its columns, where the needed ones stand, and which may hold any text."""

    def __init__(self, columns: list[str], delimiter: str) -> None:
        """Find once where everything stands; columns are in lower case."""
        self.delimiter = delimiter
        self.columns = columns
        self.width = len(columns)
        self.free = [index for index, name in enumerate(columns) if name not in SHAPES]
        self._shapes = [SHAPES.get(name) for name in columns]
        self.sources = {role: next((name for name in names if name in columns), "") for role, names in ROLES.items()}
        if missing := [role for role, source in self.sources.items() if not source and role not in OPTIONAL]:
            raise UsageError(_lacking(missing))
        places = [columns.index(source) if source else self.width for source in self.sources.values()]
        self.pick = itemgetter(*places)
        self.ends_with_needed = columns[-1] in {name for role, name in self.sources.items() if role != "nodelist"}
        fences = [-1, *self.free, self.width]
        self._stretches = [(left + 1, right) for left, right in pairwise(fences)]
        self._needed = [[place for place in places if begin <= place < end] for begin, end in self._stretches]

    def _fits(self, fields: list[str], stretch: tuple[int, int], offset: int) -> bool:
        """Tell whether the columns between two free ones look right with so many extra bars left of them."""
        for index in range(*stretch):
            shape = self._shapes[index]
            if shape is not None and shape.fullmatch(fields[index + offset]) is None:
                return False
        return True

    def may_begin(self, fields: list[str]) -> bool:
        """Tell whether fields could be the first line of a record that a line break in a free column split."""
        return bool(self.free) and len(fields) > self.free[0] and self._fits(fields, self._stretches[0], 0)

    def cannot_begin(self, fields: list[str]) -> bool:
        """Tell whether fields are surely no part of a record, not even of one that was cut short."""
        final = len(fields) - 1
        if any(_MOMENT.fullmatch(field) for field in fields):
            return False
        if self._shapes[final] is _JOB and fields[final] and not fields[final][0].isdigit():
            return True
        return not self._fits(fields, (0, final), 0)

    def _offsets(self, fields: list[str], extra: int) -> list[list[int]]:
        """Return for each stretch the numbers of extra bars that can stand left of it; nothing without a reading."""
        last = len(self._stretches) - 1
        found: list[list[int]] = []
        for position, stretch in enumerate(self._stretches):
            least = extra if position == last else found[-1][0] if found else 0
            most = extra if position else 0
            fitting = [offset for offset in range(least, most + 1) if self._fits(fields, stretch, offset)]
            if not fitting:
                return []
            found.append(fitting)
        most = extra
        for position in reversed(range(len(found))):
            found[position] = [offset for offset in found[position] if offset <= most]
            most = max(found[position])
        return found

    def align(self, fields: list[str]) -> list[str] | None:
        """Put fields, some of which are parts of a free column with bars in it, into their columns.

        Every way to spread the extra bars over the free columns that leaves all other columns looking right is a
        reading, so the true one is among them. None: there is no reading. UnreadableError: there are several, and
        they differ in what dca needs. What the free columns hold is not returned.
        """
        extra = len(fields) - self.width
        if extra < 0:
            return None
        if extra > BARS_MAX and len(self.free) > 1:
            raise UnreadableError(f"the record holds {extra} delimiters too many.")
        aligned = [""] * self.width
        found = self._offsets(fields, extra)
        for (begin, end), needed, offsets in zip(self._stretches, self._needed, found, strict=False):
            first = offsets[0]
            if any(fields[place + other] != fields[place + first] for other in offsets[1:] for place in needed):
                raise UnreadableError(
                    "names or comments hold delimiters, so the record can be read in more than one way;"
                    " take the log without such columns."
                )
            aligned[begin:end] = fields[begin + first : end + first]
        return aligned if found else None


def _lacking(missing: list[str]) -> str:
    wanted = ", ".join(" or ".join(SPELLING[name] for name in ROLES[role]) for role in missing)
    return f"the log lacks {wanted}; take it with: {COMMAND}"


def header_names(fields: list[str]) -> list[str]:
    """Return the names of columns in lower case if fields are a header of sacct, else nothing."""
    names = [field.removeprefix("\ufeff").strip().lower() for field in fields]
    named = all(name in SHAPES or name.isidentifier() for name in names)
    return names if named and not {"jobid", "jobidraw"}.isdisjoint(names) else []


def _is_record(fields: list[str]) -> bool:
    """Tell whether fields are a record of a log without a header."""
    return len(fields) >= len(UNHEADED) and all(
        (shape := SHAPES.get(name)) is None or shape.fullmatch(field)
        for name, field in zip(UNHEADED, fields, strict=False)
    )


def layout_of(line: str, delimiter: str) -> Layout:
    """Return how a log is cut whose first line is given: its header, or a record of a log without one."""
    fields = line.split(delimiter)
    if names := header_names(fields):
        return Layout(names, delimiter)
    if _is_record(fields):
        return Layout(UNHEADED, delimiter)
    words = set(re.split("[ \t]+", line.lower()))
    if words & {"jobid", "jobidraw"}:
        raise UsageError(f"the log is sacct's table for people, in which names are cut; take it with -P: {COMMAND}")
    if "jobid" in line.lower():
        raise UsageError(f"the header {shown(line)} is not cut by {shown(delimiter)}; give the log's own --delimiter.")
    if line.startswith(";"):
        raise UsageError(
            f"the log begins with {shown(line)}, as one in Standard Workload Format does; read it with --input-format=swf."
        )
    raise UsageError(f"the log begins with {shown(line)}, which is no header of sacct; take it with: {COMMAND}")
