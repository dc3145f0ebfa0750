"""Amounts in minor units (cents) to exact decimals.

How many decimals a currency has is ISO 4217's to say, but sources differ from it where they keep
old habits: a connector's file says so in `exponents`.
"""

from decimal import Decimal
from typing import Annotated, ClassVar, Literal

import pyarrow as pa
from pydantic import Field

from integrations.transformation.arrow import Array, array, pc
from integrations.transformation.kinds import INTEGER, STRING, Kind
from integrations.transformation.rule import MONEY, Coerced, Columns, FromOne, SourcePath

_TWO = """
AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD
CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD
GTQ GYD HKD HNL HRK HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL
MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN
QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SLL SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY
TTD TWD TZS UAH USD USN UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG
""".split()

EXPONENTS: dict[str, int] = {
    **dict.fromkeys(_TWO, 2),
    **dict.fromkeys("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV".split(), 0),
    **dict.fromkeys("XAF XOF XPF".split(), 0),
    **dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3),
    **dict.fromkeys("CLF UYW".split(), 4),
}
"""Decimals of each currency after ISO 4217 (list one, and the codes it withdrew since 2020)."""

Exponent = Annotated[int, Field(ge=0, le=9)]
Code = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]


class MinorUnits(FromOne):
    """A whole number of a currency's smallest unit; `currency` is where its code stands, any case.

    1210 with `eur` is 12.10, with `jpy` 1210. An amount without a known currency is refused.
    """

    type: Literal["minor_units"]
    kind: ClassVar = INTEGER
    currency: SourcePath
    exponents: dict[Code, Exponent] = Field(
        default={}, description="Where the source counts other decimals than ISO 4217."
    )
    gives: ClassVar = (MONEY,)

    def reads(self) -> dict[str, Kind]:
        return {**super().reads(), self.currency: STRING}

    def step(self, values: Array, columns: Columns, *, wanted: pa.DataType) -> Coerced:
        amounts = values
        values = pc.multiply(amounts.cast(pa.decimal128(19, 0)), self._factors(columns)).cast(MONEY)
        bad = pc.and_(pc.is_valid(amounts), pc.is_null(values))
        return Coerced(values, bad, "has no currency whose decimals are known")

    def _factors(self, columns: Columns) -> Array:
        """What one minor unit is worth in each row, null where the currency is unknown."""
        exponents = EXPONENTS | self.exponents
        worth = array([Decimal(1).scaleb(-e) for e in exponents.values()], pa.decimal128(10, 9))
        codes = pc.utf8_upper(columns[self.currency])
        return worth.take(pc.index_in(codes, value_set=array(list(exponents), pa.string())))
