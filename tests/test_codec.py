"""Arguments and results travel by the hints of the function."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict
from typing_extensions import TypedDict

from asyncjobs import Cancel, Secret, Snooze
from asyncjobs.codec import Codec

NUL = "\0"
LONE_SURROGATE = "\ud800"


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Point(NamedTuple):
    x: int
    y: int


class Size(TypedDict):
    width: int
    height: int


@dataclass
class Parcel:
    weight: Decimal
    sent: datetime | None = None


@dataclass
class Scan:
    page: int
    picture: bytes = b""


class Order(BaseModel):
    number: int
    lines: list[str] = []
    parcel: Parcel | None = None


class Encoded(BaseModel):
    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    data: bytes


def round_trip(function: Callable[..., Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
    """Store the arguments and load them, and tell what the function would be called with."""
    codec = Codec("a.task", function)
    loaded_args, loaded_kwargs = codec.load(codec.dump(args, kwargs).arguments)
    bound = inspect.signature(function).bind(*loaded_args, **loaded_kwargs)
    bound.apply_defaults()
    return bound.arguments


def bound(function: Callable[..., Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
    called = inspect.signature(function).bind(*args, **kwargs)
    called.apply_defaults()
    return called.arguments


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=[NUL]), max_size=50)
MOMENTS = st.datetimes(
    min_value=datetime(1900, 1, 1),  # noqa: DTZ001
    max_value=datetime(2200, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
PARCELS = st.builds(
    Parcel,
    weight=st.decimals(allow_nan=False, allow_infinity=False, places=3),
    sent=st.none() | MOMENTS,
)
BY_HINT: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (int, st.integers()),
    (float, st.floats(allow_nan=False, allow_infinity=False)),
    (bool, st.booleans()),
    (str, TEXT),
    (bytes, st.binary()),
    (UUID, st.uuids()),
    (date, st.dates()),
    (time, st.times()),
    (datetime, MOMENTS),
    (timedelta, st.timedeltas(timedelta(days=-9999), timedelta(days=9999))),
    (Decimal, st.decimals(allow_nan=False, allow_infinity=False)),
    (PurePosixPath, TEXT.map(PurePosixPath)),
    (Colour, st.sampled_from(Colour)),
    (Literal["small", "large"], st.sampled_from(["small", "large"])),
    (Point, st.builds(Point, st.integers(), st.integers())),
    (Size, st.fixed_dictionaries({"width": st.integers(), "height": st.integers()})),
    (Parcel, PARCELS),
    (list[Scan], st.lists(st.builds(Scan, st.integers(), st.binary()))),
    (Order, st.builds(Order, number=st.integers(), lines=st.lists(TEXT), parcel=st.none() | PARCELS)),
    (int | None, st.none() | st.integers()),
    (list[date], st.lists(st.dates())),
    (set[int], st.sets(st.integers())),
    (frozenset[str], st.frozensets(TEXT)),
    (tuple[int, str], st.tuples(st.integers(), TEXT)),
    (dict[str, float], st.dictionaries(TEXT, st.floats(allow_nan=False, allow_infinity=False))),
    (dict[UUID, Order], st.dictionaries(st.uuids(), st.builds(Order, number=st.integers()))),
    (Any, st.recursive(st.none() | st.integers() | TEXT, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner))),
]  # fmt: skip


@pytest.mark.parametrize(("hint", "values"), BY_HINT, ids=lambda case: str(case)[:40])
@given(data=st.data())
def test_what_fits_a_hint_comes_back_as_it_was_stored(
    hint: Any, values: st.SearchStrategy[Any], data: st.DataObject
) -> None:
    def function(value: Any) -> Any: ...

    function.__annotations__ = {"value": hint, "return": hint}
    value = data.draw(values)
    codec = Codec("a.task", function)

    loaded = round_trip(function, value)
    result = codec.load_result(codec.dump_result(value))

    assert loaded == {"value": value}
    assert result == value


@pytest.mark.parametrize(("hint", "values"), BY_HINT, ids=lambda case: str(case)[:40])
@given(data=st.data())
def test_what_is_secret_comes_back_as_it_was_stored_too(
    hint: Any, values: st.SearchStrategy[Any], data: st.DataObject
) -> None:
    def function(value: Any) -> None: ...

    function.__annotations__ = {"value": Annotated[hint, Secret]}
    value = data.draw(values)
    codec = Codec("a.task", function)

    arguments, shown = codec.dump((value,), {})

    assert codec.load(arguments) == ((), {"value": value})
    assert shown == '{"value":"•••"}'


@given(TEXT)
def test_any_text_that_postgres_can_hold_is_stored(text: str) -> None:
    def function(value: str) -> None: ...

    assert round_trip(function, text) == {"value": text}


@pytest.mark.parametrize(
    "text", ["\\u0000", "\\\\u0000", "NaN", "-Infinity", '"\\u0000"', "\\", "💾"]
)
def test_text_that_only_looks_unstorable_is_stored(text: str) -> None:
    def function(value: str) -> None: ...

    assert round_trip(function, text) == {"value": text}


@given(
    st.integers(), st.lists(st.integers()), st.dictionaries(st.sampled_from("pqr"), st.integers())
)
def test_every_kind_of_parameter_gets_its_arguments(
    first: int, rest: list[int], others: dict[str, int]
) -> None:
    def function(a: int, /, *args: int, c: int = 3, **kwargs: int) -> None: ...

    loaded = round_trip(function, first, *rest, c=5, **others)

    assert loaded == bound(function, first, *rest, c=5, **others)


def test_a_parameter_by_position_and_an_extra_keyword_may_share_a_name() -> None:
    def function(a: int, /, **kwargs: int) -> None: ...

    assert round_trip(function, 1, a=2) == {"a": 1, "kwargs": {"a": 2}}


def test_a_default_is_not_stored_but_taken_when_the_job_runs() -> None:
    def function(a: int, b: int = 2) -> None: ...

    stored = Codec("a.task", function).dump((1,), {}).arguments

    assert stored == '{"a":1}'


def test_values_are_converted_by_the_hints_before_they_are_stored() -> None:
    def function(when: date) -> None: ...

    dumped = Codec("a.task", function).dump(("2026-11-22",), {})

    assert dumped.arguments == '{"when":"2026-11-22"}'


def test_a_decorated_function_is_stored_by_the_hints_of_the_inner_one() -> None:
    def inner(when: date) -> None: ...

    @functools.wraps(inner)
    def outer(*args: Any, **kwargs: Any) -> None: ...

    assert round_trip(outer, date(2026, 11, 22)) == {"when": date(2026, 11, 22)}


@given(st.binary())
def test_bytes_inside_a_model_travel_as_the_model_says(data: bytes) -> None:
    def function(raw: Encoded) -> Encoded:
        return raw

    codec = Codec("a.task", function)

    assert round_trip(function, Encoded(data=data)) == {"raw": Encoded(data=data)}
    assert codec.load_result(codec.dump_result(Encoded(data=data))) == Encoded(data=data)


def test_outcomes_are_no_part_of_a_result() -> None:
    def function() -> date | Snooze | Cancel:
        return Cancel()

    codec = Codec("a.task", function)
    codec.prepare()

    assert codec.load_result(codec.dump_result(date(2026, 11, 22))) == date(2026, 11, 22)


def test_no_result_is_stored_as_nothing() -> None:
    def function() -> int | None: ...

    codec = Codec("a.task", function)

    assert codec.dump_result(None) is None
    assert codec.load_result(None) is None


def test_a_function_that_promises_no_result_has_none() -> None:
    def function() -> None: ...

    codec = Codec("a.task", function)

    assert codec.load_result(codec.dump_result("left over")) is None
