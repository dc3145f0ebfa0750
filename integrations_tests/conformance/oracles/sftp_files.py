"""What must be in the tables of what a drop box holds, told from the formats' documents alone, by
the plainest means: Python's csv and ElementTree, and a split at each sign of EDIFACT."""

import csv
import gzip
import io
import re
import zipfile
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

Record = dict[str, Any]
AMSTERDAM = ZoneInfo("Europe/Amsterdam")
FOLDERS = {
    "/settlement/": "settlement_lines", "/auction/": "clock_transactions", "/bank/": "bank_transactions",
}  # fmt: skip
TYPES = {
    "Settled": "settled",
    "Refunded": "refund",
    "Chargeback": "chargeback",
    "Fee": "fee",
    "MerchantPayout": "payout",
}
STATES = {"323": "preliminary", "493": "final", "231": "direct"}


def stream_of(path: str) -> str:
    return next(stream for folder, stream in FOLDERS.items() if path.startswith(folder))


def state(path: str, data: bytes) -> str:
    """What must become of a file."""
    if path.endswith(".part"):
        return "waiting"
    return "refused" if data.startswith(b"<html") else "loaded"


def another(path: str) -> str:
    """A name that another file beside it could have."""
    return path.replace("batch_", "batch_9")


def rows(stream: str, path: str, data: bytes) -> Mapping[str, Record]:
    """The rows of a file that is loaded, by their id."""
    return dict(_READERS[stream](path, data))


def _settlement(path: str, data: bytes) -> Iterator[tuple[str, Record]]:
    name = path.removeprefix("/settlement/")
    if path.endswith(".gz"):
        data = gzip.decompress(data)
    elif path.endswith(".zip"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            (inside,) = archive.namelist()
            name, data = f"{name}/{inside}", archive.read(inside)
    for number, line in enumerate(csv.DictReader(io.StringIO(data.decode())), start=1):
        at = datetime.fromisoformat(line["Creation Date"]).replace(tzinfo=AMSTERDAM)
        yield (
            f"{line['Merchant Account']}/{line['Batch Number']}/{number}",
            {
                "batch": line["Batch Number"],
                "line_no": number,
                "account": line["Merchant Account"],
                "type": TYPES[line["Type"]],
                "type_raw": line["Type"],
                "psp_reference": line["Psp Reference"] or None,
                "gross": _sides(line, "Gross Credit (GC)", "Gross Debit (GC)"),
                "net": _sides(line, "Net Credit (NC)", "Net Debit (NC)"),
                "exchange_rate": float(line["Exchange Rate"]) if line["Exchange Rate"] else None,
                "scheme_fee": Decimal(line["Scheme Fees (NC)"])
                if line["Scheme Fees (NC)"]
                else None,
                "booked_at": at,
                "file_name": name,
            },
        )


def _sides(line: Record, credit: str, debit: str) -> Decimal | None:
    if line[credit]:
        return Decimal(line[credit])
    return -Decimal(line[debit]) if line[debit] else None


def _clock(path: str, data: bytes) -> Iterator[tuple[str, Record]]:
    segments = [s.strip() for s in re.split(r"(?<!\?)'", data.decode()) if s.strip()]
    told: Record = {}
    for segment in segments:
        tag, *elements = re.split(r"(?<!\?)\+", segment)
        if tag in ("LIN", "UNT") and "LIN" in told:
            yield _purchase(told)
            told = {key: value for key, value in told.items() if key in ("BGM", "DTM97", "NADFLA")}
        words = [
            re.sub(r"\?(.)", r"\1", w) for e in elements for w in re.split(r"(?<!\?):", e) if w
        ]
        if tag in ("BGM", "LIN", "PAC"):
            told[tag] = words[0]
        elif len(words) > 1:
            told[tag + words[0]] = words[1]


def _purchase(told: Record) -> tuple[str, Record]:
    key = told.get("RFFVN") or "-".join(
        told[name] for name in ("NADFLA", "RFFFAC", "DTM97", "RFFAGJ")
    )
    price, pieces, packages = told.get("PRIINV"), int(told["QTY52"]), int(told["QTY66"])
    at = datetime.strptime(told["DTM97"] + told["DTM9"], "%Y%m%d%H%M%S").replace(tzinfo=AMSTERDAM)
    return key, {
        "state": STATES[told["BGM"]],
        "transacted_at": at,
        "buyer_id": told["NADBY"],
        "grower_id": told["NADMF"],
        "vbn_product_code": told["LIN"],
        "product_name": told["IMDS99"],
        "characteristics": {k[3:]: v for k, v in told.items() if k.startswith("IMD")},
        "quality_group": told["IMDS98"],
        "pieces_per_package": pieces,
        "packages": packages,
        "pieces": pieces * packages,
        "price_per_piece": Decimal(price) if price else None,
        "amount": Decimal(price) * pieces * packages if price else None,
        "package_price": Decimal(told["PRIPAP"]),
        "vbn_package_code": told["PAC"],
    }


def _bank(path: str, data: bytes) -> Iterator[tuple[str, Record]]:
    root = ET.fromstring(re.sub(rb' xmlns="[^"]*"', b"", data, count=1))
    for statement in root.iter("Stmt"):
        for number, entry in enumerate(statement.iter("Ntry"), start=1):
            way = entry.findtext("CdtDbtInd")
            who = "Dbtr" if way == "CRDT" else "Cdtr"
            amount = entry.find("Amt")
            parties = entry.find("NtryDtls/TxDtls/RltdPties")
            assert amount is not None
            assert parties is not None
            booked = entry.findtext("BookgDt/Dt") or entry.findtext("BookgDt/DtTm") or ""
            ident = statement.findtext("Id")
            yield (
                f"{ident}/{number}",
                {
                    "statement_id": ident,
                    "entry_no": str(number),
                    "account_iban": statement.findtext("Acct/Id/IBAN"),
                    "amount": Decimal(amount.text or "") * (1 if way == "CRDT" else -1),
                    "currency": amount.get("Ccy"),
                    "booked_on": date.fromisoformat(booked[:10]),
                    "value_on": date.fromisoformat(entry.findtext("ValDt/Dt") or ""),
                    "counterparty_name": parties.findtext(f"{who}/Nm")
                    or parties.findtext(f"{who}/Pty/Nm"),
                    "counterparty_iban": parties.findtext(f"{who}Acct/Id/IBAN"),
                    "remittance": entry.findtext("NtryDtls/TxDtls/RmtInf/Ustrd"),
                    "end_to_end_id": entry.findtext("NtryDtls/TxDtls/Refs/EndToEndId"),
                },
            )


_READERS = {
    "settlement_lines": _settlement,
    "clock_transactions": _clock,
    "bank_transactions": _bank,
}
