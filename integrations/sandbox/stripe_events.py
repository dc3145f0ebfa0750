"""What the twin of Stripe tells of its objects' lives: https://docs.stripe.com/api/events.

Of the many events that Stripe may send of one change, the twin sends one an object that changed:

- a charge: `charge.pending`, `charge.succeeded` or `charge.failed` when it is made and when it is
  decided, `charge.captured`, `charge.refunded` at each refund; `charge.updated` when a refund fails
  or a dispute is opened, which also is `charge.dispute.created` of the dispute;
- a refund: `refund.created`, `refund.updated`, `refund.failed`, as API versions from 2024-10-28 on
  send them for every payment method (and no `charge.refund.updated` beside them);
- a payout: `payout.created`, `payout.updated` on its way, `payout.paid` or `payout.failed`;
- a customer: `customer.created`, `customer.updated`, `customer.deleted`.

Stripe has no events of balance transactions. Whoever applies the events in order has what the lists
show, deleted customers aside, which the last kind of event takes away.
"""

import threading
from collections.abc import Iterator

from integrations.sandbox.stripe_charge import Body, dispute_body
from integrations.sandbox.stripe_facts import Charge, Customer, Event, Fact, Facts, Payout, Refund
from integrations.sandbox.stripe_lists import Listing
from integrations.sandbox.stripe_names import API_VERSION, DAY
from integrations.sandbox.stripe_objects import body

KEPT_S = 30 * DAY
"""How far back Stripe's list goes: "events going back up to 30 days"."""
DISPUTE = "charge.dispute.created"

Told = Iterator[tuple[int, str]]
"""Moments (epoch seconds) and the types of the events that are sent at them."""


class Feed:
    """The events of all facts, those of the future included, made when they are first asked for.

    There are more events than charges, and most users of a twin never look at one.
    """

    def __init__(self) -> None:
        self._listing: Listing[Event] = Listing(kept_s=KEPT_S)
        self._untold: list[Facts] = []
        self._telling = threading.Lock()

    def add(self, facts: Facts) -> None:
        """Takes facts whose events are not in the list yet."""
        with self._telling:
            self._untold.append(facts)

    def listing(self) -> Listing[Event]:
        """The list of the events of every fact that was added."""
        with self._telling:
            if self._untold:
                facts, self._untold = self._untold, []
                self._listing.add(event for some in facts for event in events_of(some))
        return self._listing


def events_of(facts: Facts) -> Iterator[Event]:
    """All events of these facts' lives, in no order."""
    for charge in facts.charges:
        yield from _told(charge, _charge(charge))
    for refund in facts.refunds:
        yield from _told(refund, _refund(refund))
    for payout in facts.payouts:
        yield from _told(payout, _payout(payout))
    for customer in facts.customers:
        yield from _told(customer, _customer(customer))


def event_body(event: Event) -> Body:
    """The event as the API gives it, with the object as it was at that moment."""
    return {
        "id": event.id,
        "object": "event",
        "api_version": API_VERSION,
        "created": event.created,
        "data": _data(event),
        "livemode": False,
        # nobody has asked for webhooks
        "pending_webhooks": 0,
        "request": _request(event),
        "type": event.type,
    }


def _told(fact: Fact, told: Told) -> Iterator[Event]:
    stem = fact.id.partition("_")[2]
    for number, (at, type_) in enumerate(told):
        bad = "" if type_ == DISPUTE else fact.bad
        yield Event(id=f"evt_{stem}{number}", created=at, bad=bad, type=type_, subject=fact)


def _charge(charge: Charge) -> Told:
    waits = charge.decided_at > charge.created and not charge.held
    decision = "charge.failed" if charge.decline else "charge.succeeded"
    yield charge.created, "charge.pending" if waits else decision
    if charge.decided_at > charge.created:
        yield charge.decided_at, "charge.captured" if charge.held else decision
    for refund in charge.refunds:
        yield refund.created, "charge.refunded"
        if refund.failed_at is not None:
            yield refund.failed_at, "charge.updated"
    if charge.disputed_at is not None:
        yield charge.disputed_at, DISPUTE
        yield charge.disputed_at, "charge.updated"


def _refund(refund: Refund) -> Told:
    yield refund.created, "refund.created"
    if refund.done_at > refund.created:
        yield refund.done_at, "refund.updated"
    if refund.failed_at is not None:
        yield refund.failed_at, "refund.failed"


def _payout(payout: Payout) -> Told:
    leaves, arrives = payout.moments
    yield payout.created, "payout.created"
    yield leaves, "payout.updated"
    yield arrives, "payout.failed" if payout.failed else "payout.paid"


def _customer(customer: Customer) -> Told:
    yield customer.created, "customer.created"
    if customer.renamed_at is not None and customer.new_name != customer.name:
        yield customer.renamed_at, "customer.updated"
    if customer.gone_at is not None:
        yield customer.gone_at, "customer.deleted"


def _data(event: Event) -> Body:
    if event.type == DISPUTE:
        assert isinstance(event.subject, Charge)
        return {"object": dispute_body(event.subject)}
    after = body(event.subject, now=event.created)
    # "only included in events of type *.updated", says the reference
    if not event.type.endswith(".updated"):
        return {"object": after}
    before = body(event.subject, now=event.created - 1)
    return {"object": after, "previous_attributes": _previous(before, after)}


def _previous(before: Body, after: Body) -> Body:
    """What the attributes that differ were before; null for those that were not there."""
    previous: Body = {}
    for name in before | after:
        was, now = before.get(name), after.get(name)
        if isinstance(was, dict) and isinstance(now, dict):
            previous |= {name: _previous(was, now)} if was != now else {}
        elif was != now:
            previous[name] = was
    return previous


def _request(event: Event) -> Body:
    """The shop's own request that made the object; null for what Stripe did by itself."""
    made = event.created == event.subject.created and not isinstance(event.subject, Payout)
    if not made:
        return {"id": None, "idempotency_key": None}
    return {"id": f"req_{event.id[-14:]}", "idempotency_key": f"shop-{event.subject.id}"}
