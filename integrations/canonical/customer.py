"""The entity customer: a person or company that buys."""

from integrations.canonical.entity import (
    COUNTRY,
    CURRENCY,
    Bool,
    Entity,
    Json,
    Text,
    Timestamp,
    column,
)


class Customer(Entity):
    """A person or company in the source's address book."""

    code: Text = column("The number or code people know the customer by.", nullable=True)
    name: Text = column(
        "Full name; sources that know only an e-mail address leave it open.",
        nullable=True,
        personal=True,
    )
    type: Text = column("Company or person.", nullable=True, isin=("company", "person"))
    email: Text = column("E-mail address.", nullable=True, personal=True)
    phone: Text = column("Telephone number as the source writes it.", nullable=True, personal=True)
    vat_number: Text = column("VAT number with its country prefix.", nullable=True)
    chamber_of_commerce: Text = column("Number in the trade register.", nullable=True)
    gln: Text = column("GS1 global location number.", nullable=True)
    street: Text = column("Street, or the whole address line.", nullable=True, personal=True)
    house_number: Text = column("House number with additions.", nullable=True, personal=True)
    postal_code: Text = column("Postal code.", nullable=True, personal=True)
    city: Text = column("City.", nullable=True, personal=True)
    country: Text = column("ISO 3166-1 alpha-2 code.", nullable=True, str_matches=COUNTRY)
    currency: Text = column("ISO 4217 code that is billed in.", nullable=True, str_matches=CURRENCY)
    is_customer: Bool = column("Whether they buy.", nullable=True)
    is_supplier: Bool = column("Whether they sell to us.", nullable=True)
    blocked: Bool = column("Whether sales to them are stopped.", nullable=True)
    created_at: Timestamp = column("When the source made the record.", unit="UTC", nullable=True)
    updated_at: Timestamp = column("When the source last changed it.", unit="UTC", nullable=True)
    metadata: Json = column("The merchant's own key-value pairs.", nullable=True, personal=True)
