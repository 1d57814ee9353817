"""Single documents as a distant store keeps them: each for itself, no transaction, no snapshot of several."""

from typing import Any, NamedTuple

from dca.core.model import SITE_ID
from dca.store.entry import canonical, to_document
from dca.store.port import Entry, LogQuery, Query, Sum, Sums, select, total
from dca.store.protocol import CREATED, DONE, EXISTS, Create, Found, Item, Key, Search, Streams, head_key
from dca.store.schema import LOG, SITE, TENANT

World = tuple[int, ...]
"""The number of each document's content, by the position of its key; 0 where there is none yet."""


class Effect(NamedTuple):
    """What a write that was not acknowledged may still do, now, later or never."""

    position: int
    content: int
    version: int
    """0 to create, else to put unless a newer version is there."""


class Shelf:
    """Every key and every content that documents had in one exploration, numbered so that worlds are small and equal."""

    def __init__(self) -> None:
        """Begin with nothing but the content 0: no document."""
        self.keys: list[Key] = []
        self.contents: list[Found | None] = [None]
        self._positions: dict[Key, int] = {}
        self._numbers: dict[object, int] = {}

    def position(self, key: Key) -> int:
        """Return the position of a key in a world."""
        position = self._positions.get(key)
        if position is None:
            position = self._positions[key] = len(self.keys)
            self.keys.append(key)
        return position

    def number(self, found: Found) -> int:
        """Return the number of a content."""
        name: object = canonical(found.record) if isinstance(found.record, dict) else found
        number = self._numbers.get(name)
        if number is None:
            number = self._numbers[name] = len(self.contents)
            self.contents.append(found)
        return number

    def effect(self, wish: Create | Item) -> Effect:
        """Return what a create or a put wants to do."""
        position = self.position((wish.kind, wish.id))
        if isinstance(wish, Create):
            document = to_document(wish.document) if isinstance(wish.document, Entry) else wish.document
            assert not wish.text or wish.text == canonical(document), wish
            return Effect(position, self.number(Found(document, 1)), 0)
        if wish.version == 0:
            return Effect(position, self.number(Found(wish.record, 1)), 0)
        content = Found(wish.record, wish.version, wish.head) if wish.head else Found(wish.record, wish.version)
        return Effect(position, self.number(content), wish.version)

    def read(self, world: World, key: Key) -> Found | None:
        """Return a document, in real time."""
        return self.contents[look(world, self.position(key))]

    def apply(self, world: World, effect: Effect) -> tuple[World, bool]:
        """Do what a write wants to one document; return the world after it and whether it was done."""
        there = self.contents[look(world, effect.position)]
        if there is not None and (effect.version == 0 or there.version > effect.version):
            return world, False
        padded = world + (0,) * (effect.position + 1 - len(world))
        return (*padded[: effect.position], effect.content, *padded[effect.position + 1 :]), True

    def of_kind(self, world: World, kind: str) -> list[tuple[Key, Found]]:
        """Return all documents of a kind."""
        return [
            (key, content)
            for key, number in zip(self.keys, world, strict=False)
            if key[0] == kind and (content := self.contents[number]) is not None
        ]

    def found(self, world: World, operation: Search | Streams) -> tuple[Any, ...]:
        """Return what a search over what a refresh showed finds."""
        return self._heads(world) if isinstance(operation, Streams) else self._search(world, operation)

    def _heads(self, world: World) -> tuple[tuple[int, int], ...]:
        """Return position and content of the documents that carry heads, and of those that ought to."""
        keys = {key for kind in (SITE, TENANT) for key, _ in self.of_kind(world, kind)} | {(SITE, SITE_ID)}
        for (_, record_id), _ in self.of_kind(world, LOG):
            stream, _, seq = record_id.rpartition(":")
            if seq == "1":
                keys.add(head_key(stream))
        return tuple((position, look(world, position)) for position in sorted(map(self.position, keys)))

    def _search(self, world: World, search: Search) -> tuple[Any, ...]:
        """Answer a search from what a refresh showed: numbers of contents, or sums."""
        request = search.request
        if isinstance(request, LogQuery):
            raise NotImplementedError
        found = [content for _, content in self.of_kind(world, request.kind)]
        if isinstance(request, Sums):
            last = dict(search.heads)[request.stream].seq
            rows: list[Sum] = total((one.record for one in found if one.record.seq <= last), request)
            return tuple(rows)
        assert isinstance(request, Query)
        numbers = {one.record.id: self.number(one) for one in found}
        return tuple(numbers[record.id] for record in select((one.record for one in found), request))

    def log(self, world: World, stream: str) -> list[dict[str, Any]]:
        """Return the raw entries of a stream, in order, up to the first that is not there."""
        documents: list[dict[str, Any]] = []
        while (found := self.read(world, (LOG, f"{stream}:{len(documents) + 1}"))) is not None:
            documents.append(found.record)
        return documents


def look(world: World, position: int) -> int:
    """Return the number of the content at a position."""
    return world[position] if position < len(world) else 0


def mixed(old: World, new: World) -> list[World]:
    """Return what a search may see between a refresh and now: each document as it was or as it is."""
    changed = [position for position in range(len(new)) if look(old, position) != new[position]]
    worlds = [old, new] if changed else [old]
    if len(changed) > 1:
        for keep in (0, 1):
            some = [*old, *(0 for _ in range(len(new) - len(old)))]
            for position in changed[keep::2]:
                some[position] = new[position]
            worlds.append(tuple(some))
    return worlds


def status_of(wish: Create | Item, *, done: bool) -> str:
    """Return how a store answers a create or an item of a write."""
    if not done:
        return EXISTS
    return CREATED if isinstance(wish, Create) else DONE
