"""The entity bank transaction: one entry of an account's statement."""

from integrations.canonical.entity import CURRENCY, Date, Entity, Money, Text, column


class BankTransaction(Entity, key="statement_id, entry_no"):
    """A booking on a bank account, as its statement has it."""

    statement_id: Text = column("The bank's id of the statement.")
    entry_no: Text = column("The entry in its statement.")
    account_iban: Text = column("The account that was booked on.", personal=True)
    amount: Money = column("What the balance changed by, signed.", unit="currency")
    currency: Text = column("ISO 4217 code of the amount.", str_matches=CURRENCY)
    booked_on: Date = column("The day on which the bank booked it.")
    value_on: Date = column("The day from which interest counts.", nullable=True)
    counterparty_name: Text = column("Who paid or was paid.", nullable=True, personal=True)
    counterparty_iban: Text = column("Their account.", nullable=True, personal=True)
    remittance: Text = column("What the payer wrote to it.", nullable=True, personal=True)
    end_to_end_id: Text = column("The payer's own id of the payment.", nullable=True)
    bank_reference: Text = column("The bank's own id of the booking.", nullable=True)
