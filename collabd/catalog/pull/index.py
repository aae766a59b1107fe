"""The index of a place that offers model packages: which there are, and what each must be when it arrives."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

import msgspec

from collab_sdk.errors import InvalidRequest, UnknownModel
from collab_sdk.text import plain
from collab_sdk.vocabulary import TaskKind
from collabd.did_you_mean import did_you_mean

# The largest index that is read: thousands of models.
MOST_INDEX_BYTES = 4 << 20
# How many models an error names.
_SHOWN = 20

_Hex = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
_Release = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,6}(\.[0-9]{1,6}){0,3}\Z")]


class Archive(msgspec.Struct, frozen=True):
    """A package as one file, the form in which packages travel to companions (see `store/bundle`).

    `url`: from the index on, or whole. `bytes`: its exact length. `sha256`: of the file, in hexadecimal digits.
    """

    url: str
    bytes: Annotated[int, msgspec.Meta(ge=1)]
    sha256: _Hex


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a model. `digest`: the package's own, by which companions know it too."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")]
    version: Annotated[int, msgspec.Meta(ge=1)]
    task: TaskKind
    digest: Annotated[str, msgspec.Meta(pattern=r"^sha256:[0-9a-f]{64}\Z")]
    archive: Archive
    licence: str
    source: str
    # The oldest collabd that reads it.
    collabd: _Release

    def __str__(self) -> str:
        return f"{self.name}:{self.version}"


class Index(msgspec.Struct, frozen=True):
    """All that is offered in one place."""

    models: tuple[Offer, ...]
    format: Literal[1] = 1


def decode(data: bytes, where: str) -> Index:
    """The index in a file of this name or URL, in TOML if that ends so, else in JSON. Raises `InvalidRequest`."""
    try:
        if where.partition("?")[0].endswith(".toml"):
            read = msgspec.convert(tomllib.loads(data.decode()), Index)
        else:
            read = msgspec.json.decode(data, type=Index)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise InvalidRequest(f"{where} is not an index of models: {error}") from error
    versions = [str(offer) for offer in read.models]
    if twice := sorted({each for each in versions if versions.count(each) > 1}):
        raise InvalidRequest(f"{where} offers {twice[0]} twice: its publisher must mend it")
    return Index(tuple(_plain(offer) for offer in read.models))


def encode(index: Index) -> bytes:
    """The index in JSON; equal ones give equal bytes."""
    return msgspec.json.format(msgspec.json.encode(index), indent=1) + b"\n"


def choose(index: Index, wanted: str, *, running: str) -> Offer:
    """What is meant by NAME (its newest version that collabd `running` reads) or NAME:VERSION.

    Raises `UnknownModel` if it is not offered, and `InvalidRequest` if it is for a newer collabd.
    """
    name, colon, version = wanted.partition(":")
    named = sorted((offer for offer in index.models if offer.name == name), key=lambda offer: -offer.version)
    if not named:
        raise UnknownModel(f"the index has no model {name[:80]!r}{_others(index, name)}")
    meant = [offer for offer in named if str(offer) == wanted] if colon else named
    if not meant:
        raise UnknownModel(f"the index has no version {version[:80]!r} of {name}; it has {_versions(named)}")
    readable = [offer for offer in meant if _release(offer.collabd) <= _release(running)]
    if not readable:
        oldest = meant[-1]
        raise InvalidRequest(f"{oldest} needs collabd {oldest.collabd} or newer, and {running} runs here: upgrade it")
    return readable[0]


def _plain(offer: Offer) -> Offer:
    return msgspec.structs.replace(offer, licence=plain(offer.licence), source=plain(offer.source))


def _others(index: Index, name: str) -> str:
    names = list(dict.fromkeys(offer.name for offer in index.models))
    shown = ", ".join(names[:_SHOWN]) or "none"
    return f" (it has: {shown}{', ...' if len(names) > _SHOWN else ''}){did_you_mean(name, names)}"


def _versions(offers: Sequence[Offer]) -> str:
    return ", ".join(str(offer.version) for offer in reversed(offers))


def _release(version: str) -> tuple[int, ...]:
    return tuple(_numbers(version))


def _numbers(version: str) -> Iterator[int]:
    """The numbers before what else a version says: 0.2.0.dev1 counts as 0.2.0, and 0.2 too."""
    found = re.match(r"[0-9]+(\.[0-9]+)*", version)
    numbers = [int(number) for number in found[0].split(".")] if found else []
    yield from [*numbers, 0, 0, 0, 0][:4]
