"""
Arguments and results, to JSON and back, by the function's own type hints.

Pydantic does the converting. What JSON in Postgres would lose or refuse is refused here, at enqueue,
where somebody can still do something about it: NaN (JSON has none), NUL characters (jsonb has none),
secrets that would be stored as asterisks, and anything of more than a megabyte.
"""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import (
    Annotated,
    Any,
    NamedTuple,
    NotRequired,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
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
from asyncjobs.secret import Scrub, Secret, holds_secret, masking, nodes, noting
from asyncjobs.storable import check, told

_CONFIG = ConfigDict(ser_json_inf_nan="constants", ser_json_bytes="base64", val_json_bytes="base64")
# By name: pydantic.types takes long to import for so little.
_SECRETS = ("SecretStr", "SecretBytes")


class Dumped(NamedTuple):
    """The arguments of a call as JSON, and what of them may be shown: None where that is all."""

    arguments: str
    shown: str | None


_NOTHING = Dumped("{}", None)


class Codec:
    """How the arguments and the result of one function travel; `secret`: parameters that are, beside those that say so."""

    def __init__(
        self,
        task: str,
        function: Callable[..., Any],
        *,
        secret: Collection[str] = (),
        secret_result: bool = False,
    ) -> None:
        self._task = task
        self._function = function
        self._secret = frozenset(secret)
        self._may_return_secrets = secret_result
        self._parameters = tuple(inspect.signature(function).parameters.values())
        for name in sorted(self._secret - {parameter.name for parameter in self._parameters}):
            raise BadSignature(task, f"secret= names {name!r}, which is none of its parameters")
        self._by_position = tuple(p.name for p in self._parameters if p.kind in _POSITIONAL)
        self._rest = next((p.name for p in self._parameters if p.kind is p.VAR_POSITIONAL), None)
        self._others = next((p.name for p in self._parameters if p.kind is p.VAR_KEYWORD), None)
        self._only_position = tuple(p.name for p in self._parameters if p.kind is p.POSITIONAL_ONLY)
        self._is_simple = not (self._rest or self._others or self._only_position)

    def prepare(self) -> None:
        """Build what is needed; raises BadSignature where a hint cannot be told to JSON."""
        _ = self._arguments, self._result

    def dump(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Dumped:
        """
        Turn the arguments of a call into JSON, by name; defaults are not stored.

        Raises ArgumentsDoNotFit, ArgumentsNotStorable.
        """
        if not args and not kwargs and self._may_be_empty:
            return _NOTHING
        named = self._named(args, kwargs)
        secrets: Collection[Any] = ()
        if self.secretive:
            with noting() as secrets:
                checked = self._checked(named)
        else:
            checked = self._checked(named)
        try:
            arguments = self._storable(self._arguments, checked)[1:-1]
        except (PydanticSerializationError, ValueError, RecursionError) as error:
            raise ArgumentsNotStorable(self._task, Scrub(secrets)(str(error))) from None
        return Dumped(arguments, self._mask(checked) if self.secretive else None)

    def _checked(self, named: dict[str, Any]) -> tuple[dict[str, Any]]:
        try:
            return cast(
                "tuple[dict[str, Any]]", self._arguments.validator.validate_python((named,))
            )
        except ValidationError as error:
            raise ArgumentsDoNotFit(self._task, told(error, 1, self.secretive)) from None

    def load(self, text: str, scrub: Scrub | None = None) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Turn stored JSON into the arguments of a call; raises ArgumentsDoNotFit. `scrub` learns the secrets."""
        if text == "{}" and self._may_be_empty:
            return (), {}
        named = self._read_noting(text, scrub or Scrub()) if self.secretive else self._read(text)
        return ((), named) if self._is_simple else self._spread(named)

    def _read(self, text: str) -> dict[str, Any]:
        try:
            (named,) = self._arguments.validator.validate_json(f"[{text}]")
        except ValidationError as error:
            raise ArgumentsDoNotFit(self._task, told(error, 1, self.secretive)) from None
        return cast("dict[str, Any]", named)

    def _read_noting(self, text: str, scrub: Scrub) -> dict[str, Any]:
        """Read them, and let `scrub` learn what of them is secret."""
        try:
            with noting() as secrets:
                named = self._read(text)
            scrub.learn(secrets)
            scrub.learn(
                p.default for p in self._parameters if p.name in self.secretive - named.keys()
            )
        except Exception:
            # It may have failed before it came to the secrets: what is near them is taken for one.
            scrub.learn(self._near_secrets(text))
            raise
        return named

    def mask(self, text: str) -> str | None:
        """Give what may be shown of stored arguments that do not say it themselves; None where that is all."""
        if not self.secretive:
            return None
        with suppress(Exception):
            (named,) = self._arguments.validator.validate_json(f"[{text}]")
            return self._mask((named,))
        return "{}"

    @cached_property
    def _may_be_empty(self) -> bool:
        """Whether nothing is to be checked, read or learnt where nothing is given."""
        if not self._parameters:
            return True
        needs = any(p.default is p.empty and p.kind not in _VARIABLE for p in self._parameters)
        return not needs and not self.secretive

    @cached_property
    def secretive(self) -> frozenset[str]:
        """The parameters that are secret, or hold something that is."""
        whole = self._arguments.core_schema
        [fields] = (node["fields"] for node in nodes(whole) if node.get("cls") is self._shape)
        return frozenset(name for name, field in fields.items() if holds_secret(field, whole))

    def dump_result(self, result: object) -> str | None:
        """Turn a result into JSON, None into None; raises ResultNotStorable."""
        if result is None or self._returns_nothing:
            return None
        try:
            return self._storable(self._result, self._result.validator.validate_python(result))
        except ValidationError as error:
            raise ResultNotStorable(self._task, told(error, 0)) from None
        except (PydanticSerializationError, ValueError, RecursionError) as error:
            raise ResultNotStorable(self._task, str(error)) from None

    def load_result(self, text: str | None) -> Any:
        """Turn a stored result into what the function returned; raises ResultNotReadable."""
        if text is None:
            return None
        try:
            return self._result.validator.validate_json(text)
        except ValidationError as error:
            raise ResultNotReadable(self._task, told(error, 0)) from None

    @staticmethod
    def _storable(adapter: TypeAdapter[Any], value: Any) -> str:
        data = adapter.serializer.to_json(value)
        check(adapter, data, value)
        return data.decode()

    def _mask(self, checked: tuple[dict[str, Any]]) -> str:
        with masking():
            shown: str = self._arguments.serializer.to_json(checked).decode()
        return shown[1:-1]

    def _near_secrets(self, text: str) -> Iterator[Any]:
        with suppress(ValueError):
            named = from_json(text)
            if isinstance(named, dict):
                yield from (named[name] for name in self.secretive & named.keys())

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
        # schema, and a TypedDict there takes none. It has them too, for the dataclasses in it: they would be
        # read by its settings and written by their own.
        fields: dict[str, Any] = {}
        for parameter in self._parameters:
            hint = self._hints.get(parameter.name, Any)
            if parameter.name in self._secret:
                hint = Annotated[hint, Secret]
            if parameter.kind is parameter.VAR_POSITIONAL:
                fields[parameter.name] = NotRequired[types.GenericAlias(list, hint)]
            elif parameter.kind is parameter.VAR_KEYWORD:
                fields[parameter.name] = NotRequired[types.GenericAlias(dict, (str, hint))]
            else:
                given = parameter.default is parameter.empty
                fields[parameter.name] = hint if given else NotRequired[hint]
        shape = TypedDict("Arguments", fields)  # type: ignore[misc]
        shape.__pydantic_config__ = ConfigDict(extra="forbid", **_CONFIG)  # type: ignore[attr-defined]
        self._shape = shape
        return self._adapter(tuple[shape], "parameter", fields.values(), _CONFIG)

    @cached_property
    def _returns_nothing(self) -> bool:
        return _without_outcomes(self._hints.get("return", Any)) in (None, type(None))

    @cached_property
    def _result(self) -> TypeAdapter[Any]:
        hint = _without_outcomes(self._hints.get("return", Any))
        model = inspect.isclass(hint) and issubclass(hint, BaseModel)
        adapter = self._adapter(hint, "result", [hint], None if model else _CONFIG)
        if not self._may_return_secrets and holds_secret(adapter.core_schema, adapter.core_schema):
            raise BadSignature(
                self._task,
                "its result is, or holds, a Secret, and results are shown; return a reference to it, "
                "or let the task be sealed: encrypt=True",
            )
        return adapter

    def _adapter(
        self, shape: Any, what: str, hints: Any, config: ConfigDict | None = None
    ) -> TypeAdapter[Any]:
        if any(_mentions_secret(hint, frozenset()) for hint in hints):
            raise BadSignature(
                self._task,
                f"a {what} is a SecretStr or SecretBytes, which pydantic stores as asterisks; "
                "say Annotated[str, Secret], or pass a reference and look the secret up in the job",
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
_VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_KEYWORD = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def _without_outcomes(hint: Any) -> Any:
    """`int | Snooze` returns an int: outcomes are never stored as results."""
    if get_origin(hint) not in (Union, types.UnionType):
        return type(None) if hint is Snooze or hint is Cancel else hint
    kept = tuple(part for part in get_args(hint) if part is not Snooze and part is not Cancel)
    return Union[kept] if kept else type(None)  # noqa: UP007


def _mentions_secret(hint: Any, seen: frozenset[Any]) -> bool:
    loaded = sys.modules.get("pydantic.types")
    if loaded is not None and any(hint is getattr(loaded, secret) for secret in _SECRETS):
        return True
    if inspect.isclass(hint) and issubclass(hint, BaseModel) and hint not in seen:
        fields = (field.annotation for field in hint.model_fields.values())
        return any(_mentions_secret(field, seen | {hint}) for field in fields)
    parts = get_args(hint)[:1] if get_origin(hint) is Annotated else get_args(hint)
    return any(_mentions_secret(part, seen) for part in parts)
