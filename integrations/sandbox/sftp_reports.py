"""What is in the files of the twin `sftp_files`: a processor's settlements, an auction's messages,
a bank's statements. Each is a function of its day and a seed."""

import csv
import gzip
import io
import random
import zipfile
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from xml.sax.saxutils import escape

COLUMNS = (
    "Company Account,Merchant Account,Psp Reference,Merchant Reference,Payment Method,"
    "Creation Date,TimeZone,Type,Modification Reference,Gross Currency,Gross Debit (GC),"
    "Gross Credit (GC),Exchange Rate,Net Currency,Net Debit (NC),Net Credit (NC),"
    "Commission (NC),Markup (NC),Scheme Fees (NC),Interchange (NC),Payment Method Variant,"
    "Modification Merchant Reference,Batch Number,Reserved4,Reserved5,Reserved6,Reserved7,"
    "Reserved8,Reserved9,Reserved10"
).split(",")
"""Those of Adyen's settlement details report (docs.adyen.com/reporting)."""
_BUYERS = ("400001", "400002", "8710000000047")
_NAMES = ("R GR AVALANCHE+", "TU EN STRONG GOLD", "CHR T 'PINA COLADA'", "ALSTR: VIRGINIA")
_CENT = Decimal("0.01")


def settlement(account: str, batch: int, day: date, *, lines: int, seed: str) -> bytes:
    """A settlement details report: payments, some paid back, a fee and the payout that ends it.

    Every third account's report has its columns in another order, as a merchant may choose.
    """
    chance = random.Random(f"{seed} settlement {account} {batch}")  # noqa: S311
    rows = [_payment(chance, account, batch, day, number) for number in range(1, lines - 1)]
    total = sum((_signed(row) for row in rows), Decimal())
    fee = {"Type": "Fee", "Modification Reference": f"Transaction Fees {day:%B %Y}"}
    payout = {
        "Type": "MerchantPayout",
        "Modification Reference": f"TX{batch}XT batch {batch}, {account}",
    }
    ends = [{**fee, "Net Debit (NC)": "2.00"}, {**payout, "Net Debit (NC)": str(total - 2)}]
    rows += [_row(account, batch, day, time(2), one) for one in ends]
    columns = COLUMNS if batch % 3 else [*reversed(COLUMNS)]
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def _payment(
    chance: random.Random, account: str, batch: int, day: date, number: int
) -> dict[str, str]:
    gross = Decimal(chance.randrange(500, 25_000)) / 100
    cost = (gross * Decimal("0.012")).quantize(_CENT)
    kind = chance.choices(["Settled", "Refunded", "Chargeback"], [20, 3, 1])[0]
    side = "Credit" if kind == "Settled" else "Debit"
    reference = "".join(chance.choices("BCDFGHKLMNPQRSTVWXZ23456789", k=16))
    values = {
        "Psp Reference": reference,
        "Merchant Reference": f"ORDER-{batch}-{number}",
        "Payment Method": chance.choice(["visa", "mc", "ideal"]),
        "Type": kind,
        "Modification Reference": reference[::-1],
        f"Gross {side} (GC)": f"{gross:.2f}",
        "Exchange Rate": "1",
        f"Net {side} (NC)": f"{gross - cost if kind == 'Settled' else gross + cost:.2f}",
        "Commission (NC)": f"{cost:.2f}",
        "Scheme Fees (NC)": "0.03" if number % 2 else "",
    }
    return _row(
        account, batch, day, time(8 + number % 12, number % 60, chance.randrange(60)), values
    )


def _row(account: str, batch: int, day: date, at: time, values: dict[str, str]) -> dict[str, str]:
    return {
        "Company Account": "ExampleCo",
        "Merchant Account": account,
        "Creation Date": f"{datetime.combine(day, at):%Y-%m-%d %H:%M:%S}",
        "TimeZone": "CET",
        "Gross Currency": "EUR",
        "Net Currency": "EUR",
        "Batch Number": str(batch),
        **values,
    }


def _signed(row: dict[str, str]) -> Decimal:
    return Decimal(row.get("Net Credit (NC)") or 0) - Decimal(row.get("Net Debit (NC)") or 0)


def clock(day: date, *, state: str, lines: int, seed: str) -> bytes:
    """A CLOCKT message with the purchases of a day; the final one says more than the preliminary.

    Its trailer counts wrong on Thursdays, as real ones do.
    """
    chance = random.Random(f"{seed} clock {day}")  # noqa: S311
    segments = [
        f"UNH+{day:%y%m%d}1+CLOCKT:003:007:EF", f"BGM+{state}", f"DTM+97:{day:%Y%m%d}:102",
        "NAD+FLA+3",
    ]  # fmt: skip
    for number in range(1, lines + 1):
        segments += _purchase(chance, day, number, final=state == "493")
    count = len(segments) + 1 + (6 if day.weekday() == 3 else 0)
    segments.append(f"UNT+{count}+{day:%y%m%d}1")
    head = f"UNB+UNOA:2+8710000000016:14+400001:ZZ+{day:%y%m%d}:0656+{day:%y%m%d}2"
    return ("'\n".join([head, *segments, f"UNZ+1+{day:%y%m%d}2"]) + "'\n").encode("latin-1")


def _purchase(chance: random.Random, day: date, number: int, *, final: bool) -> list[str]:
    at = datetime.combine(day, time(6)) + timedelta(seconds=12 * number)
    price = Decimal(chance.randrange(80, 900)) / 1000
    name, quality = chance.choice(_NAMES), chance.choice(["A1", "A2", "B1"])
    pieces, packages = chance.choice([20, 50, 80]), chance.randrange(1, 9)
    vbn, grower = chance.randrange(10_000, 99_999), chance.randrange(10_000, 10_050)
    sure = [f"RFF+VN:{day:%y%m%d}{number:05}"] if number % 4 else []
    later = [f"PRI+INV:{price:.3f}"] if final or number % 3 else []
    return [
        f"LIN+++{vbn}:VBN", f"DTM+9:{at:%H%M%S}:402", f"NAD+MF+{grower}",
        f"NAD+BY+{_BUYERS[number % 3]}:160:9", "RFF+FAC:1", f"RFF+AGJ:{number}",
        *sure, f"QTY+52:{pieces}", f"QTY+66:{packages}", *later,
        f"IMD++S99+:::{_released(name)}", "IMD++S20+070", f"IMD++S98+{quality}",
        "PAC+++997", "PRI+PAP:7.000",
    ]  # fmt: skip


def _released(text: str) -> str:
    """A text in which no sign means anything."""
    return "".join(f"?{sign}" if sign in "?+:'" else sign for sign in text)


def statement(day: date, *, entries: int, seed: str) -> bytes:
    """A camt.053 statement: of version 2 on even days, of version 8 on odd ones."""
    chance = random.Random(f"{seed} bank {day}")  # noqa: S311
    version = 8 if day.day % 2 else 2
    told = "".join(_entry(chance, day, number, version) for number in range(1, entries + 1))
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.{version:02}">'
        f"<BkToCstmrStmt><GrpHdr><MsgId>M{day:%Y%m%d}</MsgId>"
        f"<CreDtTm>{day}T18:43:50+01:00</CreDtTm></GrpHdr>"
        f"<Stmt><Id>STMT{day:%Y%m%d}</Id><ElctrncSeqNb>{day:%j}</ElctrncSeqNb>"
        "<Acct><Id><IBAN>NL26VAYB8060476890</IBAN></Id><Ccy>EUR</Ccy></Acct>"
        f'<Bal><Tp><CdOrPrtry><Cd>OPBD</Cd></CdOrPrtry></Tp><Amt Ccy="EUR">18.15</Amt>'
        f"<CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>{day}</Dt></Dt></Bal>"
        f"{told}</Stmt></BkToCstmrStmt></Document>\n"
    ).encode()


def _entry(chance: random.Random, day: date, number: int, version: int) -> str:
    amount = Decimal(chance.randrange(100, 900_000)) / chance.choice([100, 100, 100_000])
    way = chance.choice(["CRDT", "DBIT"])
    name, iban = f"Bloem & Zn {number}", f"NL56AGDH{chance.randrange(10**10):010}"
    who = "Dbtr" if way == "CRDT" else "Cdtr"
    party = f"<Nm>{escape(name)}</Nm>"
    party = f"<Pty>{party}</Pty>" if version == 8 else party
    booked = f"<DtTm>{day}T13:15:00+01:00</DtTm>" if version == 8 else f"<Dt>{day}</Dt>"
    status = "<Cd>BOOK</Cd>" if version == 8 else "BOOK"
    return (
        f'<Ntry><Amt Ccy="EUR">{amount}</Amt><CdtDbtInd>{way}</CdtDbtInd><Sts>{status}</Sts>'
        f"<BookgDt>{booked}</BookgDt><ValDt><Dt>{day + timedelta(days=1)}</Dt></ValDt>"
        f"<AcctSvcrRef>REF{day:%Y%m%d}{number}</AcctSvcrRef><NtryDtls><TxDtls>"
        f"<Refs><EndToEndId>E2E-{number}</EndToEndId></Refs><RltdPties><{who}>{party}</{who}>"
        f"<{who}Acct><Id><IBAN>{iban}</IBAN></Id></{who}Acct></RltdPties>"
        f"<RmtInf><Ustrd>Invoice {number}</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>"
    )


def zipped(names: Sequence[str], data: Sequence[bytes]) -> bytes:
    """An archive of files; the same each time."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in zip(names, data, strict=True):
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def gzipped(data: bytes) -> bytes:
    """The same each time."""
    return gzip.compress(data, mtime=0)
