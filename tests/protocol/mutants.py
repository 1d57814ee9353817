"""The protocol with one thing broken on purpose, and what is to be explored to see it.

An exploration that finds nothing in one of these could not find it in the protocol either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from dca.core.errors import DamagedError, DcaError
from dca.core.model import Claim, Project, Record, tenant_stream
from dca.store import entry as entries
from dca.store import protocol
from dca.store.port import Head, Query, Sum, Sums, select
from dca.store.protocol import (
    CREATED,
    DONE,
    EXISTS,
    YOUNG_SECONDS,
    Clock,
    Create,
    Found,
    Get,
    Memory,
    Search,
    Sleep,
    View,
    Write,
    head_key,
    items_of,
)
from dca.store.schema import CLAIM, KINDS, LOG, PROJECT
from tests.protocol import commands
from tests.protocol.explore import Luck
from tests.protocol.forgery import books, forger, forgeries
from tests.protocol.stage import Stage, acme, adder, early_charges, founder, lasting, reader, writer

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping, Sequence

    from dca.store.port import Entry
    from dca.store.protocol import Later, Missing

    Steps = Generator[Any, Any, Any]

BALANCES = commands.balances("acme", "p", "q")


class Mutant(NamedTuple):
    """What is put in the place of what, and where it shows."""

    patches: dict[str, Any]
    """By dotted name below dca.store.protocol."""
    shows: Callable[[], None]


# -- where it shows ----------------------------------------------------------------------------------------------


def two_charges(**luck: int) -> None:
    """Two writers charge one project."""
    actors = [writer(name, commands.charge(name, "p", 5)) for name in "ab"]
    acme().explore(*actors, luck=Luck(**luck))


def a_charge_and_a_user() -> None:
    """A hook charges while an administrator adds a user, which the hook may not write."""
    hook = writer("a", commands.charge("a", "p", 5), denied=("association",))
    acme().explore(hook, writer("b", commands.add_user("b", "p", "ann")), luck=Luck(crashes=1))


def a_failure() -> None:
    """Two writers charge, and one document is not written."""
    two_charges(failures=1)


def a_lost_answer() -> None:
    """One writer charges, and the answer to its create is lost."""
    acme().explore(writer("a", commands.charge("a", "p", 5)), luck=Luck(timeouts=1))


def a_reader() -> None:
    """A reader reads figures, sums and records while somebody charges."""
    charged = ("seed-charge", commands.charge("seed-charge", "p", 3))
    acme(charged).explore(
        writer("a", commands.charge("a", "p", 5)), reader("r", BALANCES), luck=Luck(crashes=1, failures=1)
    )


def a_new_tenant() -> None:
    """A reader reads everything while a tenant is added."""
    steps = ("a-pays", commands.pay("a-pays", "new", 9)), ("a", commands.add_project("a", "n", "new", 5))
    actors = founder("a", "new", *steps), reader("r", commands.everything("t:acme", "t:new"))
    acme(to_come=["new"]).explore(*actors)


def after_a_founder() -> None:
    """Somebody pays for a tenant whose founder crashed before the tenant was written."""
    stage = acme(to_come=["new"])
    stage.before(founder("a", "new"), writes=1)
    stage.explore(writer("b", commands.pay("b", "new", 5)), luck=Luck(crashes=1))


def a_forgery(kind: str) -> Callable[[], None]:
    """A writer and a reader meet a forged entry."""

    def explore() -> None:
        stage = books()
        actors = forger(forgeries(stage)[kind]), writer("a", commands.charge("a", "p", 5)), reader("r", BALANCES)
        stage.explore(*actors, luck=Luck(crashes=1))

    return explore


def two_tenants() -> None:
    """Two tenants want one project name."""
    actors = adder("x", "n", "a1", "b1", may_hear=["busy"]), adder("y", "n", "b1", "a1", may_hear=["busy"])
    Stage("a1", "b1").explore(*actors, luck=Luck(crashes=1))


def two_of_one_tenant() -> None:
    """Two writers of one tenant add the same project."""
    Stage("a1").explore(*(adder(name, "n", "a1") for name in "xy"))


def a_name_given_away() -> None:
    """A name is given to another tenant, two of whose writers use it, while the claim still names the first."""
    stage = Stage("a1", "b1")
    stage.before(adder("earlier", "n", "a1", "b1"), writes=1)
    stage.before(adder("taker", "n", "b1", "a1"), writes=1)
    stage.explore(*(adder(name, "n", "b1", "a1") for name in "xy"), luck=Luck(crashes=1))


def a_name_that_went_on() -> None:
    """A name is given away twice, in two streams; the first release is not carried out, the second is."""
    stage = Stage("a1", "b1", "c1")
    stage.before(adder("earlier", "n", "a1", "b1", "c1"), writes=1)
    stage.before(adder("taker", "n", "b1", "a1", "c1"), writes=1)
    stage.before(adder("third", "n", "c1", "a1", "b1"), writes=3)
    stage.explore(adder("x", "n", "a1", "b1", "c1"))


def a_charge_of_a_name_given_away() -> None:
    """A project is added, and charged, while another charge still takes it for the first tenant's."""
    stage = Stage("a1", "b1")
    stage.before(adder("earlier", "n", "a1", "b1"), writes=1)
    stage.before(adder("taker", "n", "b1", "a1"), writes=1)
    charges = [writer(name, commands.charge(name, "n", 5), may_hear=["not_found"]) for name in "vw"]
    stage.explore(adder("x", "n", "b1", "a1"), *charges, luck=Luck(switches=2))


def two_crashes_and_a_reader() -> None:
    """A reader comes after two writers who crashed."""
    stage = acme()
    for name in "ab":
        stage.before(writer(name, commands.charge(name, "p", 5)), writes=1)
    stage.explore(reader("r", commands.figures("acme")))


def three_commands_and_failures() -> None:
    """A process does three things one after the other, and two documents are not written."""
    decides = [(name, commands.charge(name, project, 5)) for name, project in (("a0", "p"), ("a1", "q"), ("a2", "p"))]
    acme().explore(lasting(*decides), luck=Luck(failures=2))


def a_reader_of_figures() -> None:
    """A reader reads a tenant and its project by their names while somebody charges, the last document first."""
    actors = writer("a", commands.charge("a", "p", 5)), reader("r", commands.figures("acme", "p"))
    acme().explore(*actors, backwards=True)


# -- what is put in the place of what ----------------------------------------------------------------------------


def records_before_heads(view: View, missing: Missing) -> Steps:
    """Read what is missing before the heads of its streams."""
    view.current = False
    yield from protocol._route(
        view, [*missing.routes, *(one for kind, one in missing.keys if kind in (PROJECT, CLAIM))]
    )
    keys = tuple(missing.keys)
    read: dict[Any, Any] = dict(zip(keys, (yield Get(keys)), strict=True)) if keys else {}
    streams = {*missing.streams}
    for kind, record_id in keys:
        if kind not in (PROJECT, CLAIM):
            streams.add(protocol.stream_of(kind, record_id))
        elif view.routes[record_id]:
            streams.add(tenant_stream(view.routes[record_id]))
    yield from protocol._read_heads(view, sorted(streams))
    for key, found in read.items():
        view.documents.setdefault(key, found)


def no_walk(view: View, _: Any) -> Steps:
    """Believe that there is nothing after the head."""
    view.current = True
    yield from ()
    return False


def walks_one_step(view: View, permitted: entries.Permitted) -> Steps:
    """Read one entry after each end and no more."""
    grew = False
    for stream in sorted(view.heads):
        (found,) = yield Get(((LOG, f"{stream}:{view.ends[stream].seq + 1}"),))
        if found is not None:
            grew = True
            yield from protocol._take(view, stream, found.record, permitted)
    view.current = True
    return grew


def head_first(view: View, stream: str) -> Steps:
    """Move the head, then write the records."""
    *others, own = view.later[stream]
    if not others:
        yield from protocol._move_head(stream, own)
    yield from protocol._carry_out(own.entry)


def head_anyhow(view: View, stream: str) -> Steps:
    """Move the head whether or not the own records were acknowledged."""
    *others, own = view.later[stream]
    yield from protocol._carry_out(own.entry)
    reached = (yield from protocol._help(stream, view.heads[stream], others)) if others else view.heads[stream]
    if reached.seq >= own.end.seq - 1:
        yield from protocol._move_head(stream, own)


def helps_nobody(_: str, reached: Head, others: Sequence[Later]) -> Steps:
    """Take what others left for written."""
    yield from ()
    return others[-1].end if others else reached


def helps_past_refusals(_: str, __: Head, others: Sequence[Later]) -> Steps:
    """Carry out what others left, whether or not all of it could be written."""
    for one in others:
        yield from protocol._carry_out(one.entry)
    return others[-1].end


def waits_for_nobody(_: str, reached: Head, others: Sequence[Later]) -> Steps:
    """Carry out at once what others have just begun."""
    for one in others:
        if not (yield from protocol._carry_out(one.entry)):
            return reached
        reached = one.end
    return reached


def newer_is_not_there(entry: Entry | None) -> Steps:
    """Take a record that a newer entry replaced for one that is not written."""
    items = items_of(entry) if entry is not None else ()
    if not items:
        return True
    done = yield Write(items)
    doubtful = [item for item, status in zip(items, done, strict=True) if status == EXISTS]
    if doubtful:
        found = yield Get(tuple((item.kind, item.id) for item in doubtful))
        if any(one is None or one.record != item.record for item, one in zip(doubtful, found, strict=True)):
            return False
    return all(status in (DONE, EXISTS) for status in done)


def lost_is_lost(entry: Entry, text: str) -> Steps:
    """Take an answer that did not come, or a place that is taken, for somebody else's success."""
    return (yield Create(LOG, entry.id, entry, text)) == CREATED


def finds_nothing_of_its_own(view: View, _: Any, permitted: entries.Permitted) -> Steps:
    """Walk on after losing a place without looking for the own entry."""
    yield from protocol._walk(view, permitted)
    return False


def decides_once(decide: Callable[[Any], Any], permitted: entries.Permitted, *_: Any) -> Steps:
    """Write what was decided at the next place there is, without deciding again."""
    view = View()
    decision = yield from protocol._settled(view, decide, permitted)
    while True:
        yield Clock()
        entry, changes = entries.seal(decision.draft, view.end(decision.draft.stream))
        if (yield from protocol._commit(entry, entries.document_text(entry, changes))):
            view.lay_over(entry)
            yield from protocol._finish(view, decision.draft.stream)
            return decision
        yield Sleep(YOUNG_SECONDS)
        yield from protocol._walk(view, permitted)


class GoesOnHeadless(View):
    """A view that does not mind whether anything carries the head of a stream."""

    def is_headless(self, stream: str) -> bool:
        """Believe that something does."""
        del stream
        return False


class FindsTheUnfinished(View):
    """A view that does not leave out records of entries after the head."""

    def find(self, query: Query) -> list[Any]:
        """Return all that was found, and what later entries bring."""
        self._need_streams(query)
        if query not in self.found:
            raise protocol.Missing(search=query)
        changed = [record for (kind, _), record in self.overlay.items() if kind == query.kind]
        found = [one.record for one in self.found[query]]
        if KINDS[query.kind].mutable:
            found = [one for one in found if one.id not in {record.id for record in changed}]
        return select([*found, *changed], query)


class FindsTheFinished(View):
    """A view that leaves out what entries after the head bring."""

    def find(self, query: Query) -> list[Any]:
        """Return what was found of entries up to the head."""
        overlay, self.overlay = self.overlay, {}
        try:
            return super().find(query)
        finally:
            self.overlay = overlay


class SumsTheFinished(View):
    """A view that leaves out of sums what entries after the head bring."""

    def sums(self, request: Sums) -> list[Sum]:
        """Return what was summed of entries up to the head."""
        self.end(request.stream)
        if request not in self.found:
            raise protocol.Missing(search=request)
        return self.found[request]


class KeepsSearches(View):
    """A view that keeps what it found when the head of a further stream is read."""

    def learn(self, stream: str, found: Found | None) -> None:
        """Take in a head."""
        kept = dict(self.found)
        super().learn(stream, found)
        self.found = kept


class KeepsDocuments(View):
    """A view that keeps what it read of a project whose name has gone to another tenant."""

    def get(self, kind: str, ids: Sequence[str]) -> list[Any]:
        """Return records, whenever they were read."""
        keys = [(kind, record_id) for record_id in ids]
        missing = [key for key in keys if key not in self.documents]
        if missing:
            raise protocol.Missing(keys=missing)
        if kind in (PROJECT, CLAIM):
            owners = {tenant_stream(self.routes[record_id]) for record_id in ids if self.routes[record_id]}
            if owners - self.heads.keys():
                raise protocol.Missing(streams=sorted(owners - self.heads.keys()))
        return [self.record(key) for key in keys]

    def follow(self, record: Project | Claim) -> None:
        """Go to another tenant and forget nothing."""
        documents, overlay = dict(self.documents), dict(self.overlay)
        super().follow(record)
        self.documents, self.overlay = documents, overlay


class TakesAnything(View):
    """A view that takes in a document though the head of its stream was not read before it."""

    def take(self, key: protocol.Key, found: Found | None) -> None:
        """Take in a document."""
        if found is not None and isinstance(found.record, (Project, Claim)):
            self.follow(found.record)
        self.documents[key] = found

    get = KeepsDocuments.get


class FollowsTheLastClaim(View):
    """A view that goes by the claim that it met last, whichever generation that is."""

    def follow(self, record: Project | Claim) -> None:
        """Go to the tenant of any record."""
        self.ranks.pop(record.id, None)
        super().follow(record)


def sums_everything(view: View, request: Any) -> Steps:
    """Search without saying where the heads are."""
    end = Head(10**9, "", 0)
    found = yield Search(request, tuple((stream, end) for stream in view.heads))
    view.found[request] = found


def searches_once(view: View, request: Any) -> Steps:
    """Search, and read the heads of tenants that turn up after it."""
    found = yield Search(request, tuple(view.heads.items()))
    foreign = {protocol.record_stream(one.record) for one in found if isinstance(one, Found)} - view.heads.keys()
    yield from protocol._read_heads(view, sorted(foreign))
    view.found[request] = found


def anything_is_fit(document: dict[str, Any], *_: Any) -> tuple[Entry | None, str]:
    """Take every document that is an entry for a fit one."""
    try:
        return entries.from_document(document), ""
    except DamagedError as error:
        return None, error.sentence


def stands_always(*_: Any) -> Steps:
    """Take an entry's word for what was there before it."""
    yield from ()
    return True


def same_end(end: Head, document: dict[str, Any]) -> Head:
    """Let an entry that is void end like one that is fit, so that nobody can tell later which it was."""
    return Head(end.seq + 1, entries.document_digest(document), end.time)


def claims_anything(claim: Claim) -> Steps:
    """Take a claim for granted, whoever was first."""
    yield Create(CLAIM, claim.id, claim)
    return True


def claims_again(claim: Claim) -> Steps:
    """Take a claim of the own tenant that was there already for as good as a new one."""
    if (yield Create(CLAIM, claim.id, claim)) == CREATED:
        return True
    (found,) = yield Get(((CLAIM, claim.id),))
    return found is not None and found.record.tenant == claim.tenant


def settled_at_once(view: View, question: Callable[[Any], Any], permitted: entries.Permitted) -> Steps:
    """Pass on what is no error of ours before the log was read to its end."""
    while True:
        refusal: Exception | None = None
        try:
            answer = question(view)
        except protocol.Missing as missing:
            yield from protocol._fetch(view, missing)
            continue
        except (DcaError, AssertionError) as error:
            refusal = error
        if not view.current and (yield from protocol._walk(view, permitted)):
            continue
        if refusal is not None:
            raise refusal
        return answer


def refuses_at_once(view: View, question: Callable[[Any], Any], permitted: entries.Permitted) -> Steps:
    """Pass on a refusal before the log was read to its end."""
    while True:
        try:
            answer = question(view)
        except protocol.Missing as missing:
            yield from protocol._fetch(view, missing)
            continue
        if view.current or not (yield from protocol._walk(view, permitted)):
            return answer


def fails_after_the_commit(view: View, stream: str) -> Steps:
    """Let what goes wrong after the commit be told as if it were the command's failure."""
    *others, own = view.later[stream]
    complete = yield from protocol._carry_out(own.entry)
    reached = (yield from protocol._help(stream, view.heads[stream], others)) if others else view.heads[stream]
    if complete and reached.seq >= own.end.seq - 1:
        yield from protocol._move_head(stream, own)


def head_with_old_figures(stream: str, last: Later) -> Steps:
    """Write the head without the figures that the entry brings: those of the document that carried it before."""
    key = head_key(stream)
    (found,) = yield Get((key,))
    record: Record | None = found.record if found is not None else last.head_record
    if record is not None:
        yield Write((protocol.Item(*key, record, last.end.seq, last.end),))


class TakesNewerForOld(View):
    """A view that takes a record of a later entry for one of those it knows."""

    def is_newer(self, found: Found) -> bool:
        """Believe the log, which was read before, or after."""
        del found
        return False


class Believes(View):
    """A view that does not hold what it remembers against what it reads."""

    def confirm(self, documents: Mapping[protocol.Key, Found | None]) -> bool:
        """Take everything in."""
        self.documents.update({head_key(stream): documents[head_key(stream)] for stream in self.recalled})
        self.recalled.clear()
        self.recalled_routes.clear()
        return True


class TakesEarly(View):
    """A view that takes what was read early for what was read after its head."""

    def take_early(self, keys: Sequence[protocol.Key]) -> Mapping[protocol.Key, Found | None]:
        """Take it wherever this view begins."""
        for early in self.memory.early:
            if early.keys <= set(keys):
                self.memory.early.remove(early)
                return early.documents()
        return {}


class HoldsNothing(Memory):
    """A memory that lets views begin at the newest head, whatever is being read early."""

    def foresee(self, stream: str, keys: Iterable[protocol.Key], documents: Callable[[], Any]) -> None:
        """Only take it in."""
        self.early.append(protocol.Early(stream, self.heads[stream], frozenset(keys), documents))


class KeepsEnds(Memory):
    """A memory that takes the end of the log for the head."""

    def keep(self, view: View) -> None:
        """Remember the ends of streams in place of their heads."""
        for stream, end in view.ends.items():
            self.reach(stream, end)


def early_reading() -> None:
    """A process reads what is known of a job, does something else, and charges the job, as another has meanwhile."""
    stage = acme()
    stage.explore(early_charges(stage), writer("b", commands.charge("b", "q", 3, "j1")), luck=Luck(switches=3))


def unreachable() -> None:
    """Two writers charge, and the store cannot be reached once."""
    may_hear = ("unreachable", "outcome_unknown")
    actors = [writer(name, commands.charge(name, "p", 5), may_hear=may_hear) for name in "ab"]
    acme().explore(*actors, luck=Luck(outages=1, timeouts=1))


def refused_in_between() -> None:
    """Somebody holds money that a charge set free, which is in the log and nowhere else yet."""
    stage = acme(("seed-hold", commands.hold("seed-hold", "p", 20, "j0")))
    stage.before(writer("b", commands.charge("b", "p", 5, "j0")), writes=1)
    stage.explore(writer("a", commands.hold("a", "p", 40, "j1"), may_hear=("refused",)))


MUTANTS: dict[str, Mutant] = {
    "records are read before the head": Mutant({"_fetch": records_before_heads}, two_charges),
    "the walk is left out": Mutant({"_walk": no_walk}, lambda: two_charges(crashes=1)),
    "the walk ends after one entry": Mutant({"_walk": walks_one_step}, two_crashes_and_a_reader),
    "the head is moved first": Mutant({"_finish": head_first}, lambda: two_charges(crashes=1)),
    "the head is moved though the own records are not written": Mutant({"_finish": head_anyhow}, a_failure),
    "the head is moved past an unfinished entry": Mutant({"_help": helps_nobody}, lambda: two_charges(crashes=1)),
    "the head is moved past what could not be written": Mutant({"_help": helps_past_refusals}, a_charge_and_a_user),
    "the head is written without the figures": Mutant({"_move_head": head_with_old_figures}, two_charges),
    "a second entry does not wait for what carries the head": Mutant({"View": GoesOnHeadless}, after_a_founder),
    "a newer record counts as not written": Mutant({"_carry_out": newer_is_not_there}, two_charges),
    "the own entry is not looked for after a time-out": Mutant(
        {"_commit": lost_is_lost, "_came_through": finds_nothing_of_its_own}, a_lost_answer
    ),
    "a decision is not made again": Mutant({"write": decides_once}, two_charges),
    "records after the head are found twice": Mutant({"View": FindsTheUnfinished}, a_reader),
    "records after the head are not found": Mutant({"View": FindsTheFinished}, a_reader),
    "records after the head are summed twice": Mutant({"_look": sums_everything}, a_reader),
    "records after the head are not summed": Mutant({"View": SumsTheFinished}, a_reader),
    "heads are read after a search": Mutant({"_look": searches_once, "View": KeepsSearches}, a_new_tenant),
    "searches are kept when a tenant turns up": Mutant({"View": KeepsSearches}, a_new_tenant),
    "fitness is not checked": Mutant({"entries.flaw": anything_is_fit}, a_forgery("wrong sum")),
    "the books before an entry are not looked at": Mutant(
        {"_stands": stands_always}, a_forgery("records the books never had")
    ),
    "an entry that a newer record hides is taken for fit": Mutant(
        {"_judged": stands_always}, a_forgery("records the books never had")
    ),
    "a void entry ends like a fit one": Mutant({"entries.passed": same_end}, lambda: two_charges(crashes=2)),
    "what is appended may be there already": Mutant(
        {"_stands": stands_always}, a_forgery("a job that is charged already")
    ),
    "claims are not respected": Mutant({"_claim": claims_anything}, two_tenants),
    "a claim that is there already counts as new": Mutant({"_claim": claims_again}, two_of_one_tenant),
    "a claim elsewhere is reported before the log was read": Mutant({"_settled": settled_at_once}, a_name_given_away),
    "a refusal is told before the log was read": Mutant({"_settled": refuses_at_once}, refused_in_between),
    "what was read under another tenant is kept": Mutant({"View": KeepsDocuments}, a_name_given_away),
    "what is another tenant's is taken in": Mutant({"View": TakesAnything}, a_charge_of_a_name_given_away),
    "an older claim counts": Mutant({"View": FollowsTheLastClaim}, a_name_that_went_on),
    "a record is newer than the log that was read with it": Mutant({"View": TakesNewerForOld}, a_reader_of_figures),
    "the end of the log is remembered as its head": Mutant(
        {"Memory": KeepsEnds, "View": Believes}, three_commands_and_failures
    ),
    "what was read early counts after any head": Mutant({"Memory": HoldsNothing, "View": TakesEarly}, early_reading),
    "a failure after the commit is told": Mutant({"_finish": fails_after_the_commit}, unreachable),
}
