"""The entity auction supply line: a lot of flowers or plants that is on offer today."""

from integrations.canonical.entity import (
    COUNTRY,
    CURRENCY,
    Bool,
    Date,
    Entity,
    Integer,
    Json,
    Money,
    Text,
    Timestamp,
    column,
)


class AuctionSupplyLine(Entity, key="lot_id, auction_date"):
    """A lot in the supply of an auction day. Codes of the auctions (VBN) keep leading zeros."""

    lot_id: Text = column("The auction's id of the lot.")
    auction_date: Date = column("The day of the auction, in the Netherlands.")
    vbn_product_code: Text = column("VBN code of the product.")
    product_name: Text = column("The product in words.")
    grower_gln: Text = column("GS1 global location number of the grower.", nullable=True)
    grower_name: Text = column("The grower's name.", nullable=True, personal=True)
    quality_group: Text = column("VBN quality group: A1, A2, B1 …", nullable=True)
    stem_length_cm: Integer = column("Shortest stem of the lot.", unit="cm", nullable=True)
    maturity: Text = column("VBN code of the stage of ripeness.", nullable=True)
    country: Text = column(
        "ISO 3166-1 alpha-2 code of where it was grown.", nullable=True, str_matches=COUNTRY
    )
    pieces_available: Integer = column("Pieces that can be bought now.", unit="{piece}")
    pieces_per_package: Integer = column("Pieces in a package.", unit="{piece}", nullable=True)
    vbn_package_code: Text = column("VBN code of the package.", nullable=True)
    package_count: Integer = column("Packages of the lot.", unit="{package}", nullable=True)
    price_per_piece: Money = column("What one piece costs.", unit="currency", nullable=True)
    currency: Text = column("ISO 4217 code of the prices.", str_matches=CURRENCY)
    price_tiers: Json = column("Other prices, by the quantity that is taken.", nullable=True)
    min_order_qty: Integer = column(
        "Pieces that must be taken at least.", unit="{piece}", nullable=True
    )
    auction_location: Text = column("The auction's code of the place.", nullable=True)
    latest_order_at: Timestamp = column("Until when it can be ordered.", unit="UTC", nullable=True)
    latest_delivery_at: Timestamp = column(
        "Until when it is delivered at the latest.", unit="UTC", nullable=True
    )
    photo_url: Text = column("Where a picture of it is.", nullable=True)
    status: Text = column("Whether it can be ordered, in the source's code.")
    line_at: Timestamp = column("When the source said this of the lot.", unit="UTC")
    is_active: Bool = column("Whether it is still on offer.")
