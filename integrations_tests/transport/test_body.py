"""Records out of a page: the bytes that the source sent, also where they are no text."""

import pytest

from integrations.transport.body import as_sent, readable, records_in


@pytest.mark.parametrize(
    "records",
    [
        [rb'{"a":"x\ud83d"}', rb'{"b":1}'],
        [rb'{"a":"\uDE00 alone"}', rb'{"b":"\ud83d\ude00"}', rb'{"c":"\ud83d\ud83d\ude00"}'],
        [rb'{"a":"\\ud83d is text"}', rb'{"a":"\\\ud83d is not"}'],
        [rb'{"a":"plain"}', rb"{}", rb"{}"],
        [],
    ],
)
def test_a_half_of_a_surrogate_pair_costs_no_page(records: list[bytes]) -> None:
    """Every record of such a page comes out, byte for byte."""
    body = b'{"count":1,"data": [' + b" ,\n".join(records) + b"]}"
    text = readable(body)
    split = records_in(text, "data")
    assert [bytes(one) for one in as_sent(split, text=text, body=body)] == records
    assert len(text) == len(body)


def test_whole_pairs_and_escaped_backslashes_stay() -> None:
    """Only what is no text is replaced, for reading."""
    assert readable(rb'"\\ud83d \ud83d\ude00 \ud83d"') == rb'"\\ud83d \ud83d\ude00 \ufffd"'
