"""Those who act in an exploration: generators of the protocol, remembered by the answers they were given.

A generator cannot be copied, but it is wholly determined by the answers it got. So each distinct history of answers is one
node, whose next operation is worked out once, by running a fresh generator through that history.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from dca.core.errors import DcaError, UnreachableError
from dca.store.port import Query
from dca.store.protocol import Clock, Create, Get, Operation, Search, Sleep, Streams, Write

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Hashable

    from dca.store.port import Decision, Reader
    from tests.protocol.world import Shelf

Steps = Any
"""A generator that yields operations; what it returns is its answer."""
SECONDS_LEFT = 30.0
UNREACHABLE = "unreachable"
AGE_MAX = 200
"""Operations after which somebody is taken to go on for ever; the longest life in these tests has half as many."""


def _tell(generator: Generator[Any, Any, Any], said: Any) -> Any:
    """Tell a generator an answer, or that there is none; return its next operation."""
    return generator.throw(UnreachableError("nobody answers.")) if said == UNREACHABLE else generator.send(said)


class Outcome(NamedTuple):
    """How somebody ended: with an answer, or with an error that the user is told."""

    answer: Any = None
    error: DcaError | None = None


class Actor(NamedTuple):
    """A writer or a reader."""

    name: str
    start: Callable[[], Steps]
    commits: dict[str, Callable[[Reader], Decision]] = {}  # noqa: RUF012 -- never changed
    """The decision behind each commit id that it may write; the one it is told about has its name and comes last."""
    question: Callable[[Reader], Any] | None = None
    """What a reader asks."""
    denied: frozenset[str] = frozenset()
    """Kinds that it may not write."""
    may_crash: bool = True
    may_hear: frozenset[str] = frozenset()
    """Codes of the errors that it may be told; any other is a fault."""


class Node:
    """A point in somebody's life: the answers so far, and what comes next."""

    __slots__ = ("age", "answer", "live", "next", "number", "operation", "outcome", "parent")

    def __init__(self, number: int, parent: Node | None, answer: Hashable) -> None:
        """Make a node below its parent, reached by an answer."""
        self.number = number
        self.parent = parent
        self.age: int = parent.age + 1 if parent is not None else 0
        self.answer = answer
        self.operation: Operation | None = None
        self.outcome: Outcome | None = None
        self.next: dict[Hashable, Node] = {}
        self.live: Generator[Any, Any, Any] | None = None


class Life:
    """All histories of one actor."""

    def __init__(self, actor: Actor, shelf: Shelf) -> None:
        """Begin with the actor's first operation."""
        self.actor = actor
        self.shelf = shelf
        self.nodes: list[Node] = []
        self.root = self._node(None, None)
        self._send(self.root, actor.start(), first=True)

    def step(self, node: Node, answer: Hashable) -> Node:
        """Return where an answer to the node's operation leads."""
        known = node.next.get(answer)
        if known is not None:
            return known
        generator = node.live or self._again(node)
        node.live = None
        assert node.operation is not None
        child = self._node(node, answer)
        node.next[answer] = child
        self._send(child, generator, said=self._real(node.operation, answer))
        return child

    def _node(self, parent: Node | None, answer: Hashable) -> Node:
        node = Node(len(self.nodes), parent, answer)
        self.nodes.append(node)
        return node

    def _again(self, node: Node) -> Generator[Any, Any, Any]:
        history = []
        while node.parent is not None:
            history.append((node.parent.operation, node.answer))
            node = node.parent
        generator: Generator[Any, Any, Any] = self.actor.start()
        operation = next(generator)
        for asked, answer in reversed(history):
            assert operation == asked, "the protocol does not do the same again on the same answers"
            operation = _tell(generator, self._real(operation, answer))
        return generator

    def _send(self, node: Node, generator: Generator[Any, Any, Any], *, said: Any = None, first: bool = False) -> None:
        try:
            node.operation = next(generator) if first else _tell(generator, said)
            node.live = generator
        except StopIteration as end:
            node.outcome = Outcome(answer=end.value)
        except DcaError as error:
            node.outcome = Outcome(error=error)

    def _real(self, operation: Operation, answer: Any) -> Any:
        """Turn numbers back into documents."""
        if answer == UNREACHABLE:
            return answer
        contents = self.shelf.contents
        if isinstance(operation, Get):
            return [contents[number] for number in answer]
        if isinstance(operation, Streams):
            return [(self.shelf.keys[position], contents[number]) for position, number in answer]
        if isinstance(operation, Search):
            return [contents[number] for number in answer] if isinstance(operation.request, Query) else list(answer)
        if isinstance(operation, Write):
            return list(answer)
        assert isinstance(operation, (Create, Sleep, Clock)), operation
        return answer
