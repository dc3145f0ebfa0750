"""Faults on order happen as ordered, as often as ordered, and then are over."""

import time

import httpx
import pytest

from integrations.sandbox.faults import Fault
from integrations.sandbox.stripe import StripeTwin


def test_an_answer_of_ones_own(twin: StripeTwin, client: httpx.Client) -> None:
    """Status, headers and body replace the twin's answer, for `times` requests only."""
    twin.faults.append(Fault(times=2, status=503, headers={"Retry-After": "7"}, body=b"<html>"))
    answers = [client.get("/v1/charges") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [503, 503, 200]
    assert (answers[0].headers["retry-after"], answers[0].text) == ("7", "<html>")
    assert len(twin.faults) == 0


def test_a_fault_waits_for_its_path_and_its_turn(twin: StripeTwin, client: httpx.Client) -> None:
    """`path` chooses the requests, `after` lets the first of them pass."""
    twin.faults.append(Fault(path="/v1/refunds*", after=1, status=401))
    paths = ["/v1/refunds", "/v1/charges", "/v1/refunds", "/v1/refunds"]
    assert [client.get(path).status_code for path in paths] == [200, 200, 401, 200]


def test_a_forgotten_cursor_repeats_the_page(twin: StripeTwin, client: httpx.Client) -> None:
    """`forget` hides a parameter from the twin: the first page comes again, for ever."""
    first = client.get("/v1/charges?limit=5").json()
    twin.faults.append(Fault(times=10**6, forget=("starting_after",)))
    query = {"limit": 5, "starting_after": first["data"][-1]["id"]}
    assert client.get("/v1/charges", params=query).json() == first
    twin.faults.clear()
    assert client.get("/v1/charges", params=query).json() != first


def test_a_rewritten_body_is_still_an_answer(twin: StripeTwin, client: httpx.Client) -> None:
    """`rewrite` spoils the records of a page; lengths and headers stay true."""
    twin.faults.append(Fault(rewrite=lambda body: body.replace(b'"eur"', b"17")))
    answer = client.get("/v1/charges?limit=50")
    assert 17 in {charge.get("currency") for charge in answer.json()["data"]}
    assert "request-id" in answer.headers


def test_a_cut_answer_ends_too_early(twin: StripeTwin, client: httpx.Client) -> None:
    """`cut` closes the connection in the middle of the body that the headers promised."""
    twin.faults.append(Fault(cut=100))
    with pytest.raises(httpx.RemoteProtocolError):
        client.get("/v1/charges")
    assert client.get("/v1/charges").status_code == 200


def test_a_late_answer(twin: StripeTwin, client: httpx.Client) -> None:
    """`delay_s` passes before the answer, long enough for a client to give up."""
    twin.faults.append(Fault(delay_s=0.2))
    began = time.monotonic()
    assert client.get("/v1/charges").status_code == 200
    assert time.monotonic() - began >= 0.2
    twin.faults.append(Fault(delay_s=0.5))
    with pytest.raises(httpx.ReadTimeout):
        client.get("/v1/charges", timeout=0.1)


def test_requests_are_counted(twin: StripeTwin, client: httpx.Client) -> None:
    """Every request counts, refused ones too, and the last are remembered with their query."""
    before = twin.requests
    client.get("/v1/charges?limit=1")
    client.get("/v1/tulips")
    assert twin.requests == before + 2
    assert twin.log[-2:] == ("GET /v1/charges?limit=1", "GET /v1/tulips")
