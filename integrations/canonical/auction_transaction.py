"""The entity auction transaction: what a buyer bought at the clock."""

from integrations.canonical.entity import (
    CURRENCY,
    Entity,
    Integer,
    Json,
    Money,
    Text,
    Timestamp,
    column,
)

STATES = ("preliminary", "final", "direct")


class AuctionTransaction(
    Entity, key="the source's own number, else auction, clock, date and trace number"
):
    """A purchase at an auction; a preliminary one is followed by the same, final."""

    state: Text = column("Whether it can still change; direct ones saw no clock.", isin=STATES)
    transacted_at: Timestamp = column("When it was bought.", unit="UTC", nullable=True)
    buyer_id: Text = column("The buyer's number or GS1 global location number.")
    seller_gln: Text = column("GS1 global location number of the seller.", nullable=True)
    grower_id: Text = column("The auction's number of the grower.", nullable=True)
    grower_gln: Text = column("GS1 global location number of the grower.", nullable=True)
    vbn_product_code: Text = column("VBN code of the product.")
    product_name: Text = column("The product in words.", nullable=True)
    characteristics: Json = column("The lot's properties, by their VBN code.")
    quality_group: Text = column("VBN quality group: A1, A2, B1 …", nullable=True)
    pieces_per_package: Integer = column("Pieces in a package.", unit="{piece}")
    packages: Integer = column("Packages that were bought.", unit="{package}")
    pieces: Integer = column("Pieces that were bought: those of all packages.", unit="{piece}")
    price_per_piece: Money = column("What one piece cost.", unit="currency", nullable=True)
    amount: Money = column("What all pieces cost.", unit="currency", nullable=True)
    package_price: Money = column(
        "What is paid for the packages themselves.", unit="currency", nullable=True
    )
    currency: Text = column("ISO 4217 code of the amounts.", nullable=True, str_matches=CURRENCY)
    vbn_package_code: Text = column("VBN code of the package.", nullable=True)
    delivery_note: Text = column("The number of the grower's delivery note.", nullable=True)
    lot_ref: Text = column("The source's reference of the lot.", nullable=True)
    barcode: Text = column("The barcode on the trolley or package.", nullable=True)
