"""BullMQ's own Lua, loaded from the pinned package ``bullmq``, checked, and joined where a step must be one.

Nothing of the package is imported: only its ``commands/*.lua`` are read.
"""

import hashlib
import importlib.util
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Final

from berrante.engine.errors import IncompatibleScripts

TESTED_VERSION: Final = "3.4.4"
TESTED_DIGEST: Final = "f39d2cd7057a5ec60efee0b07083d1e2955ca0d6ddbf56b556a23405be4da4c1"

_COMMENT: Final = re.compile(rb"--\[\[.*?\]\]|--[^\n]*", re.DOTALL)
_TOP_LEVEL: Final = re.compile(rb"^local ((?:function )?\w+)", re.MULTILINE)
_WORD: Final = re.compile(rb"\w+")

#: Scripts that are long enough to be written in several files.
_PARTS: Final = {"exchange": ("exchange_settle", "exchange_take")}

Argument = str | bytes | int | float


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script and the digest by which Redis remembers it."""

    name: str
    source: bytes
    sha: str

    @classmethod
    def of(cls, name: str, source: bytes) -> "Script":
        """Make a script from its source."""
        return cls(name, source, hashlib.sha1(source, usedforsecurity=False).hexdigest())


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a script: what to send, nothing sent yet."""

    script: Script
    keys: Sequence[str | bytes]
    args: Sequence[Argument]


def _commands() -> Path:
    spec = importlib.util.find_spec("bullmq")
    if spec is None or not spec.submodule_search_locations:
        raise IncompatibleScripts(installed="(missing)", tested=TESTED_VERSION)
    return Path(spec.submodule_search_locations[0]) / "commands"


@cache
def official(name: str) -> Script:
    """Load one of BullMQ's scripts by its file name without ``.lua``, such as ``moveToActive-11``."""
    return Script.of(name, (_commands() / f"{name}.lua").read_bytes())


@cache
def own(name: str) -> Script:
    """Load one of our scripts from ``wire/lua``; they exist only where BullMQ has nothing."""
    return Script.of(name, (Path(__file__).parent / "lua" / f"{name}.lua").read_bytes())


@cache
def extended(name: str) -> Script:
    """Load one of our scripts with the functions that it uses: BullMQ's own, cut from ``moveToFinished``, and ours.

    So every change of a state is made by BullMQ's code where there is a function for it. The digest over the installed
    files pins where the cuts are. Ours are in ``group_limits.lua``, ``groups.lua`` and ``group_turns.lua``.
    """
    functions, found, _ = official("moveToFinished-14").source.partition(b"\nlocal jobIdKey = KEYS[12]\n")
    assert found, "moveToFinished has another main part than the one that was tested"
    main = b"\n".join(own(part).source for part in _PARTS.get(name, (name,)))
    ours = (own(part).source for part in ("group_limits", "groups", "group_turns"))
    return Script.of(name, _used(b"\n".join((functions, *ours)), main) + main)


def _used(functions: bytes, main: bytes) -> bytes:
    """Keep what ``main`` needs, directly or not: Redis makes every function anew at every call, 0.3 µs each."""
    parts = _TOP_LEVEL.split(_COMMENT.sub(b"", functions))[1:]
    kept: list[bytes] = []
    wanted = set(_WORD.findall(_COMMENT.sub(b"", main)))
    for name, body in reversed(list(zip(parts[::2], parts[1::2], strict=True))):  # each uses only what stands above it
        if name.rsplit(maxsplit=1)[-1] in wanted:
            kept.append(b"local " + name + body)
            wanted.update(_WORD.findall(body))
    return b"".join(reversed(kept))


@cache
def both(name: str, first: str, second: str) -> Script:
    """Join two official scripts: the second runs in the same atomic step, unless the first answered an error code.

    Each file's own number (``moveToFinished-14``) says how many keys it takes; ARGV[1] says how many arguments the
    first takes. The result is the first's.
    """
    keys = int(first.rsplit("-", 1)[1])
    return Script.of(
        name,
        b"\n".join(
            (
                b"local function first(KEYS, ARGV)\n" + official(first).source + b"\nend",
                b"local function second(KEYS, ARGV)\n" + official(second).source + b"\nend",
                b"local function slice(list, from, to)",
                b"  local out = {} for i = from, to do out[#out + 1] = list[i] end return out",
                b"end",
                b"local cut = 1 + tonumber(ARGV[1])",
                b"local result = first(slice(KEYS, 1, %d), slice(ARGV, 2, cut))" % keys,
                b"if type(result) ~= 'number' or result >= 0 then",
                b"  second(slice(KEYS, %d, #KEYS), slice(ARGV, cut + 1, #ARGV))" % (keys + 1),
                b"end",
                b"return result",
            )
        ),
    )


def digest() -> str:
    """Return one digest over every official script that is installed."""
    total = hashlib.sha256()
    for path in sorted(_commands().glob("*.lua")):
        total.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()


@cache
def check_compatible() -> None:
    """Raise ``IncompatibleScripts`` unless the installed Lua is, to the byte, what this engine was tested with."""
    if digest() != TESTED_DIGEST:
        raise IncompatibleScripts(installed=version("bullmq"), tested=TESTED_VERSION)
