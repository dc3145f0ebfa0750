"""What one stream reads of a source of files: which of them, and what is in them."""

import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from integrations.transport.decode_csv import CsvFormat
from integrations.transport.decode_edifact import EdifactFormat
from integrations.transport.decode_json import JsonFormat
from integrations.transport.decode_parquet import ParquetFormat
from integrations.transport.decode_xml import XmlFormat
from integrations.transport.file_unpacking import Limits

Format = Annotated[
    CsvFormat | JsonFormat | XmlFormat | EdifactFormat | ParquetFormat, Field(discriminator="type")
]


def _is_folder(value: str) -> str:
    if ".." in value.split("/") or "\0" in value:
        raise ValueError("a folder has no '..' in it")
    return value.rstrip("/")


def _is_pattern(value: str) -> str:
    if value.startswith("/") or ".." in value.split("/") or "\0" in value:
        raise ValueError("it is a path below the folder, as `*.csv` or `**/part-*.parquet`")
    return value


def _are_days(value: str | None) -> str | None:
    if value is not None and sorted(_DAY_PART.findall(value)) != ["DD", "MM", "YYYY"]:
        raise ValueError("it names a day's folder by YYYY, MM and DD, each once: dt=YYYY-MM-DD")
    return value if value is None else _is_folder(_is_pattern(value))


_DAY_PART = re.compile("YYYY|MM|DD")


def _named(form: str, day: date) -> str:
    """A day as the names of folders have it."""
    return form.replace("YYYY", f"{day:%Y}").replace("MM", f"{day:%m}").replace("DD", f"{day:%d}")


class FilesRequest(BaseModel):
    """The files below `folder` whose path there matches `files`: `*` and `?` stand for what is in
    one name, `**/` for any folders. Those packed with gzip or zip are unpacked.

    A file that becomes larger than `most_bytes` when it is unpacked, or more than `most_times` as
    large as it is, is refused.

    Where every day has a folder of its own, `days` says how it is called: `dt=YYYY-MM-DD`,
    `YYYY/MM/DD`. After the first pull that came to its end only the folders since the last such one
    are listed, and of `lookback_days` before: late files come into old folders.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: Annotated[str, AfterValidator(_is_folder)] = ""
    files: Annotated[str, Field(min_length=1), AfterValidator(_is_pattern)]
    format: Format
    days: Annotated[str | None, AfterValidator(_are_days)] = None
    lookback_days: int = Field(default=3, ge=1)
    most_bytes: int = Field(default=20 << 30, ge=1)
    most_times: int = Field(default=200, ge=2)

    @model_validator(mode="after")
    def _days_are_in_files(self) -> Self:
        if self.days is not None and not self.deep:
            raise ValueError("with `days`, `files` is a path with the days' folders: `**/*.csv`")
        return self

    params: ClassVar[Mapping[str, Any]] = {}
    """Nothing of it is filled in."""

    @property
    def asks(self) -> str:
        """The files, as a path."""
        return f"{self.folder}/{self.files}"

    @property
    def endpoints(self) -> tuple[str, str]:
        """What its pulls ask, by the words that guards know it by; the list last."""
        return f"GET {self.asks}", f"LIST {self.asks}"

    def folders(self, last: datetime | None, now: datetime) -> list[str]:
        """The folders below `folder` that are to be listed, with a slash behind; "" for all of it.

        `last` is when they were last listed by a pull that came to its end, None before the first.
        """
        if self.days is None or last is None:
            return [""]
        first = last.date() - timedelta(days=self.lookback_days)
        count = (now.date() - first).days + 2  # somewhere it is tomorrow
        days = (first + timedelta(days=n) for n in range(count))
        return [f"{_named(self.days, day)}/" for day in days]

    @property
    def deep(self) -> bool:
        """Whether files in folders of the folder are meant too."""
        return "/" in self.files

    @property
    def limits(self) -> Limits:
        """How much a file may become."""
        return Limits(self.most_bytes, self.most_times)
