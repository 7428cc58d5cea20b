"""
Arguments and results, to JSON and back, by the function's own type hints.

Pydantic does the converting. What JSON in Postgres would lose or refuse is refused here, at enqueue,
where somebody can still do something about it: NaN (JSON has none), NUL characters (jsonb has none),
secrets that would be stored as asterisks, and anything of more than a megabyte.
"""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, NotRequired, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, SecretBytes, SecretStr, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic_core import PydanticSerializationError, from_json
from typing_extensions import TypedDict

from asyncjobs.errors import (
    ArgumentsDoNotFit,
    ArgumentsNotStorable,
    BadSignature,
    ResultNotReadable,
    ResultNotStorable,
)
from asyncjobs.job import Cancel, Snooze

LIMIT = 1024 * 1024  # bytes of JSON, arguments and results alike

_CONFIG = ConfigDict(ser_json_inf_nan="constants", ser_json_bytes="base64", val_json_bytes="base64")
_REPLACED = "\N{REPLACEMENT CHARACTER}".encode()
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_SECRETS = (SecretStr, SecretBytes)


class Codec:
    """How the arguments and the result of one function travel."""

    def __init__(self, task: str, function: Callable[..., Any]) -> None:
        self._task = task
        self._function = function
        self._parameters = tuple(inspect.signature(function).parameters.values())
        self._by_position = tuple(p.name for p in self._parameters if p.kind in _POSITIONAL)
        self._rest = next((p.name for p in self._parameters if p.kind is p.VAR_POSITIONAL), None)
        self._others = next((p.name for p in self._parameters if p.kind is p.VAR_KEYWORD), None)
        self._only_position = tuple(p.name for p in self._parameters if p.kind is p.POSITIONAL_ONLY)
        self._is_simple = not (self._rest or self._others or self._only_position)

    def prepare(self) -> None:
        """Build what is needed; raises BadSignature where a hint cannot be told to JSON."""
        _ = self._arguments, self._result

    def dump(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
        """
        Turn the arguments of a call into JSON, by name; defaults are not stored.

        Raises ArgumentsDoNotFit, ArgumentsNotStorable.
        """
        if not args and not kwargs and not self._parameters:
            return "{}"
        named = self._named(args, kwargs)
        try:
            checked = self._arguments.validator.validate_python((named,))
        except ValidationError as error:
            raise ArgumentsDoNotFit(self._task, _told(error)) from None
        try:
            return self._storable(self._arguments, checked)[1:-1]
        except (PydanticSerializationError, ValueError, RecursionError) as error:
            raise ArgumentsNotStorable(self._task, str(error)) from None

    def load(self, text: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Turn stored JSON into the arguments of a call; raises ArgumentsDoNotFit."""
        if text == "{}" and not self._parameters:
            return (), {}
        try:
            (named,) = self._arguments.validator.validate_json(f"[{text}]")
        except ValidationError as error:
            raise ArgumentsDoNotFit(self._task, _told(error)) from None
        return ((), named) if self._is_simple else self._spread(named)

    def dump_result(self, result: object) -> str | None:
        """Turn a result into JSON, None into None; raises ResultNotStorable."""
        if result is None or self._returns_nothing:
            return None
        try:
            return self._storable(self._result, self._result.validator.validate_python(result))
        except ValidationError as error:
            raise ResultNotStorable(self._task, _told(error, skip=0)) from None
        except (PydanticSerializationError, ValueError, RecursionError) as error:
            raise ResultNotStorable(self._task, str(error)) from None

    def load_result(self, text: str | None) -> Any:
        """Turn a stored result into what the function returned; raises ResultNotReadable."""
        if text is None:
            return None
        try:
            return self._result.validator.validate_json(text)
        except ValidationError as error:
            raise ResultNotReadable(self._task, _told(error, skip=0)) from None

    @staticmethod
    def _storable(adapter: TypeAdapter[Any], value: Any) -> str:
        data = adapter.serializer.to_json(value)
        _check(data)
        if b"null" in data or _REPLACED in data:
            _check_that_it_loads(adapter, data, value)
        return data.decode()

    def _named(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        named = dict(zip(self._by_position, args, strict=False))
        surplus = args[len(self._by_position) :]
        if surplus:
            if self._rest is None:
                takes = len(self._by_position)
                raise ArgumentsDoNotFit(
                    self._task, f"it takes {takes} by position, {len(args)} were given"
                )
            named[self._rest] = list(surplus)
        for name in kwargs.keys() & named.keys():
            if not (self._others and name in self._only_position):
                raise ArgumentsDoNotFit(self._task, f"{name} was given twice")
        if self._others is None:
            named.update(kwargs)
            return named
        own = {p.name for p in self._parameters if p.kind in _KEYWORD}
        named.update((name, value) for name, value in kwargs.items() if name in own)
        others = {name: value for name, value in kwargs.items() if name not in own}
        return {**named, self._others: others} if others else named

    def _spread(self, named: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        rest: list[Any] = named.pop(self._rest, []) if self._rest else []
        others: dict[str, Any] = named.pop(self._others, {}) if self._others else {}
        # A default in the middle cannot be skipped by position: stop there, the rest goes by name.
        positions = self._by_position if rest else self._only_position
        args = [named.pop(name) for name in positions if name in named]
        return (*args, *rest), {**named, **others}

    @cached_property
    def _hints(self) -> dict[str, Any]:
        function = inspect.unwrap(self._function)
        try:
            return get_type_hints(function, include_extras=True)
        except NameError as error:
            raise BadSignature(
                self._task, f"{error}; its type hints must be importable at run time"
            ) from None
        except TypeError:
            return {}

    @cached_property
    def _arguments(self) -> TypeAdapter[tuple[dict[str, Any]]]:
        # A tuple of one, because pydantic takes the settings for NaN and bytes only from the outermost
        # schema, and a TypedDict there takes none.
        fields: dict[str, Any] = {}
        for parameter in self._parameters:
            hint = self._hints.get(parameter.name, Any)
            if parameter.kind is parameter.VAR_POSITIONAL:
                fields[parameter.name] = NotRequired[types.GenericAlias(list, hint)]
            elif parameter.kind is parameter.VAR_KEYWORD:
                fields[parameter.name] = NotRequired[types.GenericAlias(dict, (str, hint))]
            else:
                given = parameter.default is parameter.empty
                fields[parameter.name] = hint if given else NotRequired[hint]
        shape = TypedDict("Arguments", fields)  # type: ignore[misc]
        shape.__pydantic_config__ = ConfigDict(extra="forbid", val_json_bytes="base64")  # type: ignore[attr-defined]
        return self._adapter(tuple[shape], "parameter", fields.values(), _CONFIG)

    @cached_property
    def _returns_nothing(self) -> bool:
        return _without_outcomes(self._hints.get("return", Any)) in (None, type(None))

    @cached_property
    def _result(self) -> TypeAdapter[Any]:
        hint = _without_outcomes(self._hints.get("return", Any))
        model = inspect.isclass(hint) and issubclass(hint, BaseModel)
        return self._adapter(hint, "result", [hint], None if model else _CONFIG)

    def _adapter(
        self, shape: Any, what: str, hints: Any, config: ConfigDict | None = None
    ) -> TypeAdapter[Any]:
        if any(_mentions_secret(hint, frozenset()) for hint in hints):
            raise BadSignature(
                self._task,
                f"a {what} is a SecretStr or SecretBytes, which pydantic stores as asterisks; "
                "pass a reference and look the secret up in the job",
            )
        try:
            return TypeAdapter(shape, config=config)
        except PydanticUserError as error:
            # Some types bring a config of their own and refuse a second one.
            if config is not None and error.code == "type-adapter-config-unused":
                return self._adapter(shape, what, hints)
            raise BadSignature(
                self._task, f"a {what} cannot be told to JSON: {error.message}"
            ) from None


_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_KEYWORD = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def _check(data: bytes) -> None:
    """Raise ValueError for what jsonb would refuse or change."""
    if len(data) > LIMIT:
        raise ValueError(
            f"{len(data):,} bytes of JSON, and {LIMIT:,} is the limit; store it elsewhere, pass a reference"
        )
    if b"\\u0000" in data and _NUL.search(data):
        raise ValueError("a string holds a NUL character (\\u0000), which Postgres cannot store")
    if b"NaN" in data or b"Infinity" in data:
        try:
            from_json(data, allow_inf_nan=False)
        except ValueError:
            raise ValueError("a number is NaN or infinite, which JSON cannot hold") from None


def _check_that_it_loads(adapter: TypeAdapter[Any], data: bytes, value: Any) -> None:
    """
    Raise ValueError for what pydantic has changed without a word.

    A model brings settings of its own, under which NaN becomes null. Half a character (a lone
    surrogate) in the key of a dict becomes the replacement character.
    """
    try:
        loaded = adapter.validator.validate_json(data)
    except ValidationError as error:
        told = _told(error, skip=0)
        raise ValueError(
            f"it would not load again, as when NaN in a model became null: {told}"
        ) from None
    if _REPLACED in data and loaded != value:
        raise ValueError("a string holds half a character (a lone surrogate)")


def _told(error: ValidationError, skip: int = 1) -> str:
    """Say what did not fit, by place and type, without the values: they may be secret."""
    told: list[str] = []
    for detail in error.errors(include_url=False, include_context=False):
        where = ".".join(str(part) for part in detail["loc"][skip:]) or "the whole"
        if detail["type"] == "missing":
            told.append(f"{where} is missing")
        elif detail["type"] == "extra_forbidden":
            told.append(f"{where} is not one of its parameters")
        else:
            told.append(f"{where}: {detail['msg'].lower()}, found {type(detail['input']).__name__}")
    return "; ".join(told)


def _without_outcomes(hint: Any) -> Any:
    """`int | Snooze` returns an int: outcomes are never stored as results."""
    if get_origin(hint) not in (Union, types.UnionType):
        return type(None) if hint is Snooze or hint is Cancel else hint
    kept = tuple(part for part in get_args(hint) if part is not Snooze and part is not Cancel)
    return Union[kept] if kept else type(None)  # noqa: UP007


def _mentions_secret(hint: Any, seen: frozenset[Any]) -> bool:
    if any(hint is secret for secret in _SECRETS):
        return True
    if inspect.isclass(hint) and issubclass(hint, BaseModel) and hint not in seen:
        fields = (field.annotation for field in hint.model_fields.values())
        return any(_mentions_secret(field, seen | {hint}) for field in fields)
    parts = get_args(hint)[:1] if get_origin(hint) is Annotated else get_args(hint)
    return any(_mentions_secret(part, seen) for part in parts)
