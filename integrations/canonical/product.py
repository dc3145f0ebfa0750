"""The entity product: what is sold or bought."""

from integrations.canonical.entity import (
    COUNTRY,
    CURRENCY,
    Bool,
    Entity,
    Json,
    Money,
    Quantity,
    Text,
    Timestamp,
    column,
)


class Product(Entity):
    """An article of the catalogue, as the source keeps it."""

    sku: Text = column("The number or code people know the product by.", nullable=True)
    gtin: Text = column("GS1 number of the trade item, as in its barcode.", nullable=True)
    vbn_code: Text = column("Product code of the Dutch flower auctions.", nullable=True)
    name: Text = column("What it is called.")
    description: Text = column("What it is, at length.", nullable=True)
    unit: Text = column("What it is counted in, in the source's words.", nullable=True)
    weight_kg: Quantity = column("Weight of one unit.", unit="kg", nullable=True)
    sales_price: Money = column("What one unit is sold for.", unit="currency", nullable=True)
    cost_price: Money = column("What one unit costs us.", unit="currency", nullable=True)
    currency: Text = column("ISO 4217 code of the prices.", nullable=True, str_matches=CURRENCY)
    is_active: Bool = column("Whether it is still traded.", nullable=True)
    characteristics: Json = column("Its properties, by their code or name.", nullable=True)
    country_of_origin: Text = column(
        "ISO 3166-1 alpha-2 code of where it was made or grown.", nullable=True, str_matches=COUNTRY
    )
    updated_at: Timestamp = column("When the source last changed it.", unit="UTC", nullable=True)
