"""Which recorded answer a request gets, and what is said of one that has none."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connector_sdk.testing.recording.bodies import JsonBody, TextBody
from connector_sdk.testing.recording.cassette import Answer, Exchange, Request
from connector_sdk.testing.recording.matching import Likeness
from connector_sdk.testing.recording.tape import Tape

pytestmark = pytest.mark.unit

API = "https://api.acme.example/v1"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def get(path: str, **headers: str) -> Request:
    return Request(method="GET", url=API + path, headers=dict(headers))


def post(path: str, data: object) -> Request:
    return Request(method="POST", url=API + path, body=JsonBody(data=json.loads(json.dumps(data))))


def taped(*requests: Request, ignore: tuple[str, ...] = ()) -> Tape:
    """Answer each request with its place in the recording."""
    exchanges = [Exchange(request=one, answer=Answer(status=200 + place)) for place, one in enumerate(requests)]
    return Tape(exchanges, Likeness(frozenset(ignore)))


def place(tape: Tape, request: Request) -> int | None:
    played = tape.play(request)
    return None if played is None else played.answer.status - 200


def test_repeated_requests_get_their_answers_in_order() -> None:
    tape = taped(post("/jobs", {"n": 1}), post("/jobs", {"n": 2}), post("/jobs", {"n": 1}))
    assert [place(tape, post("/jobs", {"n": 1})) for _ in range(3)] == [0, 2, None]
    assert "recorded 2 times, which have been played" in tape.miss(post("/jobs", {"n": 1}))


def test_what_only_reads_gets_its_last_answer_as_often_as_it_asks() -> None:
    tape = taped(get("/jobs/1"), get("/jobs/1"))
    assert [place(tape, get("/jobs/1")) for _ in range(4)] == [0, 1, 1, 1]


def test_an_answer_from_behind_a_change_waits_for_the_change() -> None:
    look, cancel = get("/jobs/1"), post("/jobs/1/cancel", {})
    tape = taped(look, cancel, look, look)
    assert [place(tape, one) for one in (look, look, cancel, look, look, look)] == [0, 0, 1, 2, 3, 3]


def test_an_answer_from_before_a_change_is_not_given_behind_it() -> None:
    look, cancel = get("/jobs/1"), post("/jobs/1/cancel", {})
    tape = taped(look, look, look, cancel, look)
    assert [place(tape, one) for one in (look, cancel, look)] == [0, 3, 4]


def test_a_read_that_was_recorded_elsewhere_is_answered_all_the_same() -> None:
    tape = taped(get("/before"), post("/jobs", {}), get("/behind"))
    assert place(tape, get("/behind")) == 2
    assert place(tape, post("/jobs", {})) == 1
    assert place(tape, get("/before")) == 0


def test_a_query_of_graphql_may_be_asked_again_and_a_mutation_may_not() -> None:
    query, mutation = post("/graphql", {"query": "query { pod }"}), post("/graphql", {"query": "mutation { stop }"})
    tape = taped(query, mutation)
    assert [place(tape, one) for one in (query, query, mutation, mutation)] == [0, 0, 1, None]


@given(data=JSON)
def test_the_order_of_fields_and_parameters_does_not_matter(data: object) -> None:
    turned = json.loads(json.dumps(data), object_pairs_hook=lambda pairs: dict(reversed(pairs)))
    tape = taped(post("/jobs?a=1&b=%20x&a=2", {"config": data}))
    assert place(tape, post("/jobs?b=+x&a=1&a=2", {"config": turned})) == 0


@given(one=JSON, other=JSON)
@example(one={"a.b": 1}, other={"a": {"b": 1}})
@example(one={"0": 1}, other=[1])
def test_another_value_is_another_request(one: object, other: object) -> None:
    is_same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (place(taped(post("/jobs", one)), post("/jobs", other)) == 0) is is_same


def test_a_form_matches_by_its_fields() -> None:
    def form(line: str) -> Request:
        kind = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
        return Request(method="POST", url=f"{API}/login", headers={**kind}, body=TextBody(lines=[line]))

    tape = taped(form("a=1&b=2"), ignore=("nonce",))
    assert place(tape, form("b=2&a=1&nonce=7")) == 0
    assert place(tape, form("b=2&a=3")) is None


def test_a_range_is_part_of_the_request() -> None:
    tape = taped(get("/file"), get("/file", Range="bytes=10-"))
    assert [place(tape, get("/file", Range="bytes=10-")), place(tape, get("/file"))] == [1, 0]


def test_ignored_names_may_have_any_value_at_any_depth() -> None:
    tape = taped(post("/jobs?at=1", {"name": "a", "meta": {"at": 1, "n": [{"at": 2}]}}), ignore=("at",))
    assert place(tape, post("/jobs?at=9", {"name": "a", "meta": {"at": [3], "n": [{}]}})) == 0


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (post("/jobs", {"name": "b", "gpu": "L4"}), ['body.name is "b", and was "a"']),
        (post("/jobs", {"name": "a"}), ['body.gpu is missing, and was "L4"']),
        (post("/jobs", {"name": "a", "gpu": "L4", "x": [1]}), ["body.x[0] is 1, and was not there"]),
        (get("/jobs?after=2"), ["query.after is 2, and was 1"]),
        (get("/job?after=1"), [f"address is {API}/job, and was {API}/jobs"]),
        (Request(method="DELETE", url=f"{API}/jobs?after=1"), ["method is DELETE, and was GET"]),
    ],
)
def test_a_miss_says_what_was_asked_and_what_comes_nearest(asked: Request, said: list[str]) -> None:
    tape = taped(get("/account"), post("/jobs", {"name": "a", "gpu": "L4"}), get("/jobs?after=1"))
    text = tape.miss(asked)
    assert f"{asked.method} {asked.url}" in text.splitlines()[1]
    assert [line.strip() for line in text.partition("and differs:\n")[2].splitlines()] == said


def test_a_miss_in_an_empty_cassette_says_so() -> None:
    assert "Nothing was recorded at all" in taped().miss(get("/account"))
