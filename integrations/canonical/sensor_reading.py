"""The entity sensor reading: one value that a device measured at one moment."""

from integrations.canonical.entity import (
    Bool,
    Bytes,
    Entity,
    Float,
    Integer,
    Text,
    Timestamp,
    column,
)


class SensorReading(Entity, key="device_id, measured_at, metric, seq"):
    """One measured value; a message with several gives a row for each."""

    device_id: Text = column("The source's id of the device.")
    metric: Text = column("What was measured: temperature, soil_moisture …")
    seq: Integer = column(
        "Which of several values of one metric and moment it is; null where there is one.",
        nullable=True,
    )
    value: Float = column("The value, if it is a number.", unit="unit", nullable=True)
    value_text: Text = column("The value, if it is a word.", nullable=True)
    value_bool: Bool = column("The value, if it is true or false.", nullable=True)
    unit: Text = column("UCUM code of value.", nullable=True)
    measured_at: Timestamp = column("When it was measured.", unit="UTC")
    received_at: Timestamp = column("When the source received it.", unit="UTC")
    frame_counter: Integer = column("The device's own count of its messages.", nullable=True)
    port: Integer = column("The port on which the device sent it.", nullable=True)
    gateway_id: Text = column("The gateway that heard it best.", nullable=True)
    rssi_dbm: Float = column("How strong the gateway heard it.", unit="dB{mW}", nullable=True)
    snr_db: Float = column("How far above the noise.", unit="dB", nullable=True)
    raw_payload: Bytes = column("The message as the device sent it.", nullable=True)
    simulated: Bool = column("Whether no device sent it.", nullable=True)
