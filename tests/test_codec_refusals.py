"""What JSON would lose, Postgres would refuse or nobody could read again is refused by name."""

from __future__ import annotations

import math
from datetime import date
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field, SecretStr, field_validator

from asyncjobs.codec import Codec
from asyncjobs.errors import (
    ArgumentsDoNotFit,
    ArgumentsNotStorable,
    BadSignature,
    ResultNotStorable,
)
from asyncjobs.storable import LIMIT

NUL = "\0"
LONE_SURROGATE = "\ud800"


class Opaque:
    def __repr__(self) -> str:
        return "opaque"


OPAQUE = Opaque()


class Measure(BaseModel):
    value: float


class Raw(BaseModel):
    data: bytes


class Login(BaseModel):
    password: SecretStr


class Stubborn(BaseModel):
    name: str

    @field_validator("name")
    @classmethod
    def no_shouting(cls, name: str) -> str:
        if name.isupper():
            raise ValueError("no shouting")
        return name


@pytest.mark.parametrize(
    ("args", "kwargs", "said"),
    [
        ((), {}, "a is missing"),
        ((1, 2, 3), {}, "it takes 2 by position, 3 were given"),
        ((1,), {"a": 1}, "a was given twice"),
        ((1,), {"c": 1}, "c is not one of its parameters"),
        (("one",), {}, "a: input should be a valid integer.*found str"),
        ((1.5,), {}, "a: .*found float"),
    ],
)
def test_arguments_that_do_not_fit_are_named(
    args: tuple[Any, ...], kwargs: dict[str, Any], said: str
) -> None:
    def function(a: int, b: int = 2) -> None: ...

    with pytest.raises(ArgumentsDoNotFit, match=said) as caught:
        Codec("a.task", function).dump(args, kwargs)

    assert caught.value.task == "a.task"


def test_an_error_about_arguments_does_not_tell_their_values() -> None:
    def function(token: int) -> None: ...

    with pytest.raises(ArgumentsDoNotFit) as caught:
        Codec("a.task", function).dump(("hunter2",), {})

    assert "hunter2" not in str(caught.value)


def test_a_validator_of_the_users_own_refuses_arguments() -> None:
    def function(who: Stubborn) -> None: ...

    with pytest.raises(ArgumentsDoNotFit, match="no shouting"):
        Codec("a.task", function).dump(({"name": "LOUD"},), {})


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (math.nan, "NaN or infinite"),
        (math.inf, "NaN or infinite"),
        ([1, {"deep": -math.inf}], "NaN or infinite"),
        (NUL, "NUL"),
        ({NUL: 1}, "NUL"),
        (["a", {"b": f"c{NUL}"}], "NUL"),
        (f"\\{NUL}", "NUL"),
        (OPAQUE, "serialize"),
        (print, "serialize"),
        ("x" * LIMIT, "limit"),
    ],
    ids=lambda value: ascii(value)[:20],
)
def test_what_json_in_postgres_cannot_hold_is_refused(value: Any, said: str) -> None:
    def function(value: Any) -> None: ...

    with pytest.raises(ArgumentsNotStorable, match=said):
        Codec("a.task", function).dump((value,), {})


@pytest.mark.parametrize("hint", [Any, str, list[str], dict[str, int]], ids=str)
def test_half_a_character_is_refused(hint: Any) -> None:
    def function(value: Any) -> None: ...

    function.__annotations__ = {"value": hint}
    value = {
        Any: LONE_SURROGATE,
        str: LONE_SURROGATE,
        list[str]: [LONE_SURROGATE],
        dict[str, int]: {LONE_SURROGATE: 1},
    }[hint]

    with pytest.raises((ArgumentsDoNotFit, ArgumentsNotStorable)):
        Codec("a.task", function).dump((value,), {})


def test_a_value_that_holds_itself_is_refused() -> None:
    def function(value: Any) -> None: ...

    ring: list[Any] = []
    ring.append(ring)

    with pytest.raises(ArgumentsNotStorable):
        Codec("a.task", function).dump((ring,), {})


@pytest.mark.parametrize("hint", [float, list[float], Measure, dict[str, Measure]], ids=str)
def test_nan_is_refused_wherever_a_hint_hides_it(hint: Any) -> None:
    def function(value: Any) -> None: ...

    function.__annotations__ = {"value": hint}
    value = {
        float: math.nan,
        list[float]: [math.nan],
        Measure: Measure(value=math.nan),
        dict[str, Measure]: {"a": Measure(value=math.nan)},
    }[hint]

    with pytest.raises(ArgumentsNotStorable, match="NaN"):
        Codec("a.task", function).dump((value,), {})


def test_bytes_that_are_no_text_are_refused_inside_a_model() -> None:
    def function(raw: Raw) -> None: ...

    with pytest.raises(ArgumentsNotStorable, match="utf-8"):
        Codec("a.task", function).dump((Raw(data=b"\xff"),), {})


@pytest.mark.parametrize(
    "stored", ["{}", '{"a":"x"}', '{"b":1}', '{"a":1,"b":1}', "[]", "null", '"a"']
)
def test_stored_arguments_that_no_longer_fit_are_refused(stored: str) -> None:
    def function(a: int) -> None: ...

    with pytest.raises(ArgumentsDoNotFit):
        Codec("a.task", function).load(stored)


def test_stored_arguments_of_a_function_that_takes_none_any_more_are_refused() -> None:
    def function() -> None: ...

    with pytest.raises(ArgumentsDoNotFit, match="a is not one of its parameters"):
        Codec("a.task", function).load('{"a": 1}')


@pytest.mark.parametrize(
    "hint", [SecretStr, list[SecretStr], Login, Annotated[SecretStr, Field()], dict[str, Login]]
)
def test_a_secret_is_no_argument(hint: Any) -> None:
    def function(secret: Any) -> None: ...

    function.__annotations__ = {"secret": hint}

    with pytest.raises(BadSignature, match="asterisks"):
        Codec("a.task", function).prepare()


def test_a_secret_is_no_result() -> None:
    def function() -> SecretStr:
        return SecretStr("hunter2")

    with pytest.raises(BadSignature, match="asterisks"):
        Codec("a.task", function).prepare()


def test_a_hint_that_json_cannot_express_is_refused() -> None:
    def function(codec: Codec) -> None: ...

    with pytest.raises(BadSignature, match="cannot be told to JSON"):
        Codec("a.task", function).prepare()


def test_a_hint_that_cannot_be_found_is_refused() -> None:
    def function(value: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(BadSignature, match=r"Nowhere.*importable"):
        Codec("a.task", function).prepare()


@pytest.mark.parametrize(
    "result",
    [math.nan, NUL, OPAQUE, "x" * LIMIT, LONE_SURROGATE],
    ids=lambda value: ascii(value)[:20],
)
def test_a_result_that_json_in_postgres_cannot_hold_is_refused(result: Any) -> None:
    def function() -> Any: ...

    with pytest.raises(ResultNotStorable) as caught:
        Codec("a.task", function).dump_result(result)

    assert caught.value.task == "a.task"


def test_a_result_with_nan_in_a_model_is_refused() -> None:
    def function() -> Measure:
        return Measure(value=math.nan)

    with pytest.raises(ResultNotStorable, match="NaN"):
        Codec("a.task", function).dump_result(Measure(value=math.nan))


def test_a_result_that_is_not_what_the_function_promised_is_refused() -> None:
    def function() -> date:
        return date(2026, 11, 22)

    with pytest.raises(ResultNotStorable):
        Codec("a.task", function).dump_result("some day")
