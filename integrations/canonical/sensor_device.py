"""The entity sensor device: what measures."""

from integrations.canonical.entity import Entity, Float, Json, Text, Timestamp, column


class SensorDevice(Entity):
    """A device that sends readings."""

    eui: Text = column("Its EUI-64, the number that it was made with.", nullable=True)
    name: Text = column("What it is called.", nullable=True)
    application: Text = column("The application or channel that it belongs to.", nullable=True)
    brand: Text = column("Who made it.", nullable=True)
    model: Text = column("The maker's name for its kind.", nullable=True)
    lat: Float = column("Latitude of where it is, WGS 84.", unit="deg", nullable=True)
    lon: Float = column("Longitude of where it is, WGS 84.", unit="deg", nullable=True)
    alt_m: Float = column("Altitude of where it is.", unit="m", nullable=True)
    attributes: Json = column("Its owner's own key-value pairs.", nullable=True)
    created_at: Timestamp = column("When the source made the record.", unit="UTC", nullable=True)
    updated_at: Timestamp = column("When the source last changed it.", unit="UTC", nullable=True)
