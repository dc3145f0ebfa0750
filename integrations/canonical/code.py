"""The entity code: what a word or number of a source means, as the source itself lists it."""

from integrations.canonical.entity import Entity, Json, Text, column


class Code(Entity, key="code"):
    """An entry of a source's code table, such as its parcel statuses; a stream holds one table."""

    code: Text = column("The code as records of the source have it.")
    name: Text = column("What it means, in few words.")
    description: Text = column("What it means at length.", nullable=True)
    attributes: Json = column("What else the source says of it.", nullable=True)
