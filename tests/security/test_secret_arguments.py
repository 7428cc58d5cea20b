"""What is marked secret has a mask in its place, wherever in the arguments it lies."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple

import pytest
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field
from typing_extensions import TypedDict

from asyncjobs import Jobs, Secret
from asyncjobs.codec import Codec
from asyncjobs.errors import ArgumentsDoNotFit, ArgumentsNotStorable, BadOption, BadSignature
from asyncjobs.secret import MASK, Scrub

Password = Annotated[str, Secret]


@dataclass
class Login:
    user: str
    password: Password


class Account(BaseModel):
    name: str
    token: Annotated[bytes, Secret]
    pin: Annotated[int | None, Secret] = None


class Pair(NamedTuple):
    name: str
    key: Password


class Header(TypedDict):
    name: str
    value: Password


class Tree(BaseModel):
    name: str
    key: Password = "none"
    branches: list[Tree] = []


def taking(hint: Any) -> Codec:
    def function(value: Any) -> None: ...

    function.__annotations__ = {"value": hint}
    return Codec("a.task", function)


WITHIN = [
    (Password, "hunter2", MASK),
    (Annotated[Any, Secret], {"deep": ["hunter2"]}, MASK),
    (Annotated[bytes, Secret], b"\xffhunter2", MASK),
    (Annotated[float, Secret], 1.5, MASK),
    (Annotated[datetime, Secret], datetime(2026, 11, 22, tzinfo=UTC), MASK),
    (Annotated[Login, Secret], Login("ada", "hunter2"), MASK),
    (Annotated[Password, Field(max_length=10)], "hunter2", MASK),
    (Password | None, "hunter2", MASK),
    (Password | None, None, None),
    (list[Password], ["hunter2", "hunter3"], [MASK, MASK]),
    (dict[str, Password], {"ada": "hunter2"}, {"ada": MASK}),
    (tuple[str, Password], ("ada", "hunter2"), ["ada", MASK]),
    (Login, Login("ada", "hunter2"), {"user": "ada", "password": MASK}),
    (Login | Account, Login("ada", "hunter2"), {"user": "ada", "password": MASK}),
    (list[Login], [Login("ada", "hunter2")], [{"user": "ada", "password": MASK}]),
    (Account, Account(name="ada", token=b"x"), {"name": "ada", "token": MASK, "pin": MASK}),
    (Pair, Pair("ada", "hunter2"), ["ada", MASK]),
    (Header, {"name": "ada", "value": "hunter2"}, {"name": "ada", "value": MASK}),
    (
        Tree,
        Tree(name="root", key="hunter2", branches=[Tree(name="leaf", key="hunter3")]),
        {"name": "root", "key": MASK, "branches": [{"name": "leaf", "key": MASK, "branches": []}]},
    ),
]


@pytest.mark.parametrize(("hint", "value", "shown"), WITHIN, ids=range(len(WITHIN)))
def test_a_secret_is_masked_where_it_lies_and_comes_back_as_it_was(
    hint: Any, value: Any, shown: Any
) -> None:
    codec = taking(hint)

    dumped = codec.dump((value,), {})

    assert dumped.shown is not None
    assert json.loads(dumped.shown) == {"value": shown}
    assert codec.load(dumped.arguments) == ((), {"value": value})
    assert MASK not in dumped.arguments


def test_arguments_without_a_secret_say_nothing_of_masks() -> None:
    assert taking(str).dump(("hunter2",), {}).shown is None


def of_all_kinds(
    first: Password, /, plain: str, *rest: Password, named: Password = "x", **others: Password
) -> None: ...


def test_parameters_of_all_kinds_may_be_secret() -> None:
    codec = Codec("a.task", of_all_kinds)

    dumped = codec.dump(("s1", "open", "s2", "s3"), {"named": "s4", "more": "s5"})

    assert dumped.shown is not None
    assert json.loads(dumped.shown) == {
        "first": MASK, "plain": "open", "rest": [MASK, MASK], "named": MASK, "others": {"more": MASK},
    }  # fmt: skip
    assert codec.load(dumped.arguments) == (
        ("s1", "open", "s2", "s3"),
        {"named": "s4", "more": "s5"},
    )


def test_the_decorator_may_name_what_is_secret() -> None:
    jobs = Jobs()

    @jobs.task(secret=("password", "more"))
    async def log_in(user: str, password, *more: int) -> None: ...  # type: ignore[no-untyped-def]

    dumped = log_in.codec.dump(("ada", "hunter2", 47, 11), {})

    assert dumped.shown is not None
    assert json.loads(dumped.shown) == {"user": "ada", "password": MASK, "more": [MASK, MASK]}
    assert log_in.codec.load(dumped.arguments) == (("ada", "hunter2", 47, 11), {})


def test_a_name_that_is_no_parameter_is_refused_when_the_task_is_declared() -> None:
    with pytest.raises(BadSignature, match="'pasword', which is none of its parameters"):
        Jobs().task(secret=("pasword",))(lambda password: None)


@pytest.mark.parametrize("secret", ["password", 7, [7], None])
def test_what_names_no_parameters_is_refused(secret: Any) -> None:
    with pytest.raises(BadOption, match="the names of parameters"):
        Jobs().task(secret=secret)(lambda password: None)


def test_the_marker_alone_is_no_type() -> None:
    with pytest.raises(BadSignature, match="cannot be told to JSON"):
        taking(Secret).prepare()


class Report(BaseModel):
    login: Login


@pytest.mark.parametrize("hint", [Password, Login, list[Report], Login | None], ids=str)
def test_a_result_cannot_be_secret_as_results_are_shown(hint: Any) -> None:
    def function() -> None: ...

    function.__annotations__ = {"return": hint}

    with pytest.raises(BadSignature, match=r"holds, a Secret.*encrypt=True"):
        Codec("a.task", function).prepare()
    Codec("a.task", function, secret_result=True).prepare()


def quoting(value: str) -> str:
    raise ValueError(f"{value} is not good enough")


def stumbling(value: str) -> str:
    raise RuntimeError(value)


REFUSED = [
    (Annotated[int, Secret], "hunter2"),
    (Login, {"user": "ada", "password": ["hunter2"]}),
    (Login, {"user": "ada", "password": "x", "hunter2": 1}),
    (dict[Annotated[int, Secret], int], {"hunter2": 1}),
    (Annotated[str, Secret, AfterValidator(quoting)], "hunter2"),
    (Annotated[str, AfterValidator(quoting), Secret], "hunter2"),
    (Annotated[str, BeforeValidator(quoting), Secret], "hunter2"),
    (Annotated[str, Secret, BeforeValidator(quoting)], "hunter2"),
    (list[Annotated[str, Secret, AfterValidator(quoting)]], ["hunter2"]),
]


@pytest.mark.parametrize(("hint", "value"), REFUSED, ids=range(len(REFUSED)))
def test_arguments_that_do_not_fit_are_named_without_the_secret(hint: Any, value: Any) -> None:
    codec = taking(hint)

    with pytest.raises(ArgumentsDoNotFit, match="value does not fit, and is or holds") as asked:
        codec.dump((value,), {})
    with pytest.raises(ArgumentsDoNotFit, match="value does not fit, and is or holds") as stored:
        codec.load(json.dumps({"value": value}))

    assert "hunter2" not in f"{asked.value!r} {stored.value!r}"


def test_a_secret_that_is_missing_is_said_to_be() -> None:
    with pytest.raises(ArgumentsDoNotFit, match="value is missing"):
        taking(Password).dump((), {})


def test_a_secret_that_cannot_be_stored_is_not_quoted() -> None:
    class Talkative:
        def __repr__(self) -> str:
            raise ValueError("hunter2")

    with pytest.raises(ArgumentsNotStorable) as caught:
        taking(Annotated[Any, Secret]).dump(({"a": Talkative(), "b": "hunter2"},), {})

    assert "hunter2" not in str(caught.value)


def test_what_a_run_must_not_tell_is_known_even_if_its_arguments_cannot_be_read() -> None:
    codec = taking(Annotated[str, BeforeValidator(stumbling), Secret])
    scrub = Scrub()

    with pytest.raises(RuntimeError, match="hunter2") as caught:
        codec.load('{"value": "hunter2"}', scrub)

    assert scrub(str(caught.value)) == MASK


def test_the_default_of_a_secret_is_secret_too() -> None:
    def function(password: Password = "hunter2") -> None: ...

    scrub = Scrub()

    Codec("a.task", function).load("{}", scrub)

    assert scrub("it was hunter2") == f"it was {MASK}"


def scrubbed(value: Any, text: str) -> str:
    return Scrub([value])(text)


DISGUISED: list[tuple[Any, Callable[[Any], str]]] = [
    ("hunter2", str),
    ("hunter'2", repr),
    ('hunter"2\n', json.dumps),
    ("hünter2", ascii),
    ("hünter2", json.dumps),
    ("hunter 2/&", lambda value: "https://ada:hunter%202%2F%26@example.org"),
    ("hunter 2", lambda value: "password=hunter+2"),
    ("hunter2", lambda value: "Basic aHVudGVyMg=="),
    (b"\xffhunter2", repr),
    (b"\xffhunter2", lambda value: value.hex()),
    (4711, lambda value: f"pin {value}"),
    ("one line\nand another", lambda value: "  and another"),
    (Login("ada", "hunter2"), repr),
    (Account(name="ada", token=b"t", pin=4711), repr),
    ({"a": ["hunter2"]}, repr),
]


@pytest.mark.parametrize(
    ("value", "disguise"), DISGUISED, ids=[str(number) for number in range(len(DISGUISED))]
)
def test_a_secret_is_found_in_its_common_disguises(
    value: Any, disguise: Callable[[Any], str]
) -> None:
    found = scrubbed(value, f"so it was {disguise(value)}, was it")

    assert MASK in found
    for trace in ("hunter", "4711", "another", "aHVudGVy", "68756e746572", "\\xfcnter"):
        assert trace not in found


def test_a_long_secret_goes_before_a_short_one_that_it_contains() -> None:
    assert Scrub(["pass", "password"])("the password") == f"the {MASK}"


@pytest.mark.parametrize("value", ["", "a", "abc", None, True, False, 7, b"", [], {}])
def test_what_is_in_half_of_all_words_stays(value: Any) -> None:
    text = "abc True False None 7 a"

    assert scrubbed(value, text) == text


def test_what_takes_out_secrets_does_not_show_them() -> None:
    assert "hunter2" not in repr(Scrub(["hunter2"]))


def test_a_model_with_a_secret_is_as_before_to_everybody_else() -> None:
    class Plain(BaseModel):
        name: str
        token: bytes
        pin: int | None = None

    account = Account(name="ada", token=b"hunter2", pin=1)

    assert account.model_dump() == {"name": "ada", "token": b"hunter2", "pin": 1}
    assert account.model_dump_json() == '{"name":"ada","token":"hunter2","pin":1}'
    for mode in ("validation", "serialization"):
        marked, plain = (
            {**model.model_json_schema(mode=mode), "title": ""} for model in (Account, Plain)
        )
        assert marked == plain


def test_the_type_stays_what_it_was() -> None:
    jobs = Jobs()

    @jobs.task
    async def log_in(password: Password) -> None: ...

    parameter = inspect.signature(log_in.function).parameters["password"]
    assert parameter.annotation == "Password"
