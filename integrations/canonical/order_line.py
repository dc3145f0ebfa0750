"""The entity order line: one product of an order, how much of it and at what price."""

from integrations.canonical.entity import (
    CURRENCY,
    Date,
    Entity,
    Integer,
    Money,
    Quantity,
    Text,
    column,
)


class OrderLine(Entity, key="order_id, line_id"):
    """A line of a sales order."""

    order_id: Text = column("The source's id of the order.")
    line_id: Text = column("The line's id, unique in its order.")
    line_no: Integer = column("The line's place in the order.", nullable=True)
    product_id: Text = column("The source's id of the product.", nullable=True)
    sku: Text = column("The number or code people know the product by.", nullable=True)
    description: Text = column("What is ordered, in words.", nullable=True)
    quantity: Quantity = column("How much is ordered.", unit="unit")
    unit: Text = column("What the quantities are counted in, in the source's words.", nullable=True)
    unit_price: Money = column("The price of one unit.", unit="currency", nullable=True)
    discount_pct: Quantity = column("The discount on the line.", unit="%", nullable=True)
    net: Money = column("The line's total before taxes.", unit="currency", nullable=True)
    currency: Text = column("ISO 4217 code of the amounts.", nullable=True, str_matches=CURRENCY)
    tax_rate: Quantity = column("The rate of tax on the line.", unit="%", nullable=True)
    delivered_qty: Quantity = column("How much was delivered.", unit="unit", nullable=True)
    invoiced_qty: Quantity = column("How much was invoiced.", unit="unit", nullable=True)
    delivery_date: Date = column(
        "The day on which it is to arrive, where the seller is.", nullable=True
    )
