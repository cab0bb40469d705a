"""Reads the settings from the environment and says in one breath what is wrong with each variable."""

import difflib
import os
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from berrante.settings.model import Settings

_PREFIX: Final = "BERRANTE_"
_LONGEST_SHOWN: Final = 60


class SettingsInvalid(Exception):
    """Variables that cannot be read; ``problems`` has one sentence for each, with the remedy and no secret."""

    code = "settings_invalid"

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def load(**overrides: Any) -> Settings:  # noqa: ANN401  each value is checked by its field
    """Read the settings from the environment; ``overrides`` (field names, None is ignored) go before it.

    Raises ``SettingsInvalid``.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        problems = [
            _problem(
                tuple(str(part) for part in each["loc"]),
                given,
                kind=each["type"],
                message=each["msg"],
                value=each["input"],
            )
            for each in error.errors()
        ]
        raise SettingsInvalid(problems) from None


def variables() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield every variable with the path of its field."""
    for name, field in Settings.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            for inner in kind.model_fields:
                yield f"{_PREFIX}{name}_{inner}".upper(), (name, inner)
        else:
            yield str(field.validation_alias or f"{_PREFIX}{name}".upper()), (name,)


def _secret(path: tuple[str, ...]) -> bool:
    field = Settings.model_fields[path[0]]
    for name in path[1:]:
        kind = field.annotation
        assert isinstance(kind, type)
        assert issubclass(kind, BaseModel)
        field = kind.model_fields[name]
    return "SecretStr" in repr(field.annotation)


#: Variables whose value is never shown, not even when it is wrong.
SECRETS: Final = frozenset(name for name, path in variables() if _secret(path))


def unknown_variables(environ: Mapping[str, str] | None = None) -> dict[str, str | None]:
    """Return ``BERRANTE_*`` variables that nothing reads, each with the variable that was probably meant."""
    known = [name for name, _ in variables()]
    found = (name for name in (os.environ if environ is None else environ) if name.startswith(_PREFIX))
    return {name: next(iter(difflib.get_close_matches(name, known, n=1)), None) for name in found if name not in known}


def _problem(path: tuple[str, ...], given: Collection[str], *, kind: str, message: str, value: object) -> str:
    if not path:  # several settings do not fit together; the message names them
        return message.removeprefix("Value error, ")
    names = {field: name for name, field in variables()}
    # An alias stands in the error in place of its field.
    name = names.get(path) or (path[0] if path[0] in names.values() else f"{_PREFIX}{'_'.join(path)}".upper())
    if len(path) == 1 and path[0] in given:
        name = f"--{path[0].replace('_', '-')} ({name})"
    if kind == "extra_forbidden":
        meant = unknown_variables({name: ""}).get(name)
        return f"{name} is not a setting: " + (f"did you mean {meant}?" if meant else "leave it out")
    if kind == "value_error":
        return f"{name} {message.removeprefix('Value error, ')}"
    shown = "unfit" if name in SECRETS else _shown(value)
    return f"{name} is {shown}: {message[:1].lower()}{message[1:]}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
