"""What Stripe's file cannot say: how far a charge came depends on four of its fields."""

from integrations.transformation.arrow import Array, pc


def payment_status(*, status: Array, captured: Array, refunded: Array, disputed: Array) -> Array:
    """Our word for a charge; null, and so refused, where Stripe's status is a new one."""
    paid = pc.equal(status, "succeeded")
    cases = {
        "disputed": pc.and_(paid, disputed),
        "refunded": pc.and_(paid, refunded),
        "authorised": pc.and_(paid, pc.invert(captured)),
        "paid": paid,
        "pending": pc.equal(status, "pending"),
        "failed": pc.equal(status, "failed"),
    }
    words: Array = pc.case_when(pc.make_struct(*cases.values(), field_names=[*cases]), *cases)
    return words
