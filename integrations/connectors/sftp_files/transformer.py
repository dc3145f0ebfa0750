"""What the file cannot say: who of two parties is the other one."""

from integrations.transformation.arrow import Array, pc


def counterparty(**columns: Array) -> Array:
    """Of the one who paid and the one who was paid, in this order behind the entry's direction,
    the one that the account is not: who paid, where money came in."""
    way, payer, paid = columns.values()
    found: Array = pc.if_else(pc.equal(way, "CRDT"), payer, paid)
    return found
