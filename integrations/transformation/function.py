"""The rule for what a file cannot say: a named Python function of the connector's folder."""

import traceback
from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Literal

import pyarrow as pa
from pydantic import Field, PrivateAttr

from integrations.errors import StopStream
from integrations.transformation.arrow import Array
from integrations.transformation.kinds import KINDS, Kind
from integrations.transformation.rule import (
    BOOL,
    DATE,
    FLOAT,
    INT,
    JSON,
    MONEY,
    TEXT,
    TIMESTAMP,
    Coerced,
    Columns,
    Rule,
    SourcePath,
)

Function = Callable[..., Array]
"""Takes the columns that it reads as keywords and gives one column of the same length, null where
it has nothing to say: a required column then refuses the row."""


def _place(error: Exception) -> str:
    """The file and line at which a function failed: the last of the function's own file."""
    frames = traceback.extract_tb(error.__traceback__)[1:]  # the first is our call
    own = [frame for frame in frames if frame.filename == frames[0].filename]
    return f" at {own[-1].filename}:{own[-1].lineno}" if own else ""


class PythonFunction(Rule):
    """A function over whole columns. A path `card.brand` reaches it as the keyword `card_brand`."""

    type: Literal["python"]
    call: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", description="The function's name.")]
    inputs: dict[SourcePath, Literal["string", "integer", "number", "decimal", "boolean"]] = Field(
        alias="reads", min_length=1, description="What kind of value stands at which path."
    )
    gives: ClassVar = (TEXT, INT, FLOAT, BOOL, TIMESTAMP, DATE, MONEY, JSON)
    _function: Function | None = PrivateAttr(default=None)

    def reads(self) -> dict[str, Kind]:
        return {path: KINDS[kind] for path, kind in self.inputs.items()}

    @property
    def function(self) -> Function | None:
        """The function itself, once the rule is bound."""
        return self._function

    def using(self, functions: Mapping[Any, Any]) -> "PythonFunction":
        if self._function is not None:
            return self
        rule = self.model_copy()
        rule._function = functions[self.call]
        return rule

    def apply(self, columns: Columns, *, wanted: pa.DataType, rows: int) -> Coerced:
        if self._function is None:
            raise StopStream(f"the function {self.call!r} was never bound")
        keywords = {path.replace(".", "_"): columns[path] for path in self.inputs}
        try:
            values = self._function(**keywords)
        except Exception as error:  # noqa: BLE001  # whatever a connector's code raises
            # Neither its text nor the error itself: both may hold values of a record.
            raise StopStream(
                f"the function {self.call!r} failed: {type(error).__name__}{_place(error)}",
                todo="Correct it in the connector's transformer.py",
            ) from None
        if isinstance(values, pa.ChunkedArray):
            values = values.combine_chunks()
        if values.type != wanted or len(values) != rows:
            raise StopStream(
                f"the function {self.call!r} gave {len(values)} × {values.type}, "
                f"where {rows} × {wanted} were wanted",
                todo="Correct it in the connector's transformer.py",
            )
        return Coerced(values)
