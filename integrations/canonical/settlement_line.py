"""The entity settlement line: one movement on the account that a processor keeps for a merchant."""

from integrations.canonical.entity import (
    CURRENCY,
    Entity,
    Float,
    Integer,
    Money,
    Text,
    Timestamp,
    column,
)

TYPES = (
    "settled",
    "refund",
    "chargeback",
    "chargeback_reversed",
    "fee",
    "payout",
    "correction",
    "other",
)


class SettlementLine(Entity, key="batch, line_no, account, or the source's id"):
    """One line of a settlement: what came in or went out, and what it cost."""

    batch: Text = column("The settlement batch, where the source has batches.", nullable=True)
    line_no: Integer = column("The line in its batch.", nullable=True)
    account: Text = column("The merchant account that was settled.", nullable=True)
    type: Text = column("What moved the money.", isin=TYPES)
    type_raw: Text = column("The source's own word for the type.")
    psp_reference: Text = column("The source's id of what was settled.", nullable=True)
    merchant_reference: Text = column("The merchant's own reference.", nullable=True)
    gross_currency: Text = column("ISO 4217 code of gross.", str_matches=CURRENCY)
    gross: Money = column("The movement before costs.", unit="gross_currency", nullable=True)
    exchange_rate: Float = column("Gross times this is the settled amount.", nullable=True)
    net_currency: Text = column("ISO 4217 code of net and of the costs.", str_matches=CURRENCY)
    net: Money = column("What the balance changed by, signed.", unit="net_currency")
    commission: Money = column("The processor's charge.", unit="net_currency", nullable=True)
    markup: Money = column("The acquirer's markup.", unit="net_currency", nullable=True)
    scheme_fee: Money = column("The card scheme's fee.", unit="net_currency", nullable=True)
    interchange: Money = column("The issuer's interchange.", unit="net_currency", nullable=True)
    booked_at: Timestamp = column("When the line was booked.", unit="UTC")
    file_name: Text = column("The report that held the line, if any.", nullable=True)
