"""The README says what the code does."""

import re

import yaml

from integrations.canonical.entity import Entity, Money, Text, column
from integrations.connector_template.connector import read_connector
from integrations.connector_template.sync_handler import Stream, SyncHandler
from integrations.transformation.mapping import StreamMapping
from integrations.transport.graphql_request import GraphqlRequest
from integrations.transport.rest_request import RestRequest
from integrations_tests import readme
from integrations_tests.connector_template.florist import FLORIST, write


def test_the_generated_parts_are_as_the_code_has_them() -> None:
    """Commands, rules, paging and entities; `python -m integrations_tests.readme` renews them."""
    text = readme.FILE.read_text(encoding="utf-8")
    assert readme.renewed(text) == text


def test_the_two_commands_are_one_line_each() -> None:
    """A newcomer copies one line to run it, and one to test it; CI runs the latter as it stands."""
    text = readme.FILE.read_text(encoding="utf-8")
    lines = re.findall(r"^python3 -m pip .*$", text, re.MULTILINE)
    assert [line.split("uv run ")[1] for line in lines] == ["integrations demo", "pytest"]
    ci = (readme.FILE.parent / ".ci" / "run").read_text(encoding="utf-8")
    assert "grep -m1 'uv run pytest$' README.md" in ci


def test_the_connector_of_the_readme_loads(tmp_path) -> None:  # type: ignore[no-untyped-def]
    """What a reader copies from the five minutes has no mistake."""
    text = readme.FILE.read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(# yaml-language-server.*?)```", text, re.DOTALL)
    folder = tmp_path / "webshop"
    folder.mkdir()
    (folder / "defs.yaml").write_text(example, encoding="utf-8")
    assert [str(stream.id) for stream in read_connector(folder).streams()] == [
        "webshop/main/payments"
    ]


def test_the_entity_of_the_readme_loads(tmp_path) -> None:  # type: ignore[no-untyped-def]
    """What a reader copies as an entity of their own is one."""
    text = readme.FILE.read_text(encoding="utf-8")
    (model,) = re.findall(r"```python\n(.*?class Voucher.*?)```", text, re.DOTALL)
    florist = FLORIST[: FLORIST.index("    buyers:\n      entity")] + (
        "    buyers:\n      entity: schema:Voucher\n      key: number\n      fields:\n"
        "        {amount: value, currency: currency, state: {type: constant, value: open}, created_at: at}\n"
        "  event_handler: none\n"
    )
    folder = write(tmp_path / "florist", florist)
    (folder / "schema.py").write_text(model, encoding="utf-8")
    assert read_connector(folder).entities.keys() == {"payment", "voucher"}


class Line(Entity):
    """What the mapping of the README fills."""

    price_excl_vat: Money = column("Price.")
    balance: Money = column("Balance.")
    line_total: Money = column("Total.")
    weight: Money = column("Weight.", unit="kg")
    name: Text = column("Name.")
    vat_rate: Money = column("Rate.")
    reference: Text = column("Reference.")
    email: Text = column("Address.", personal=True)


def test_the_mapping_of_the_readme_binds() -> None:
    """Every rule that it shows fits its column."""
    text = readme.FILE.read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(fields:.*?)```", text, re.DOTALL)
    values = {"entity": "line", "key": "id", **yaml.safe_load(example)}
    bound = StreamMapping.model_validate(values).bind(Line)
    assert [field.column.name for field in bound.fields] == [one.name for one in Line.columns()]


def test_the_streams_with_details_and_parents_are_some() -> None:
    """The example is taken as a file's."""
    text = readme.FILE.read_text("utf-8")
    (example,) = re.findall(r"```yaml\n(orders:\n  sync.*?)```", text, re.DOTALL)
    transport = {"type": "rest", "base_url": "https://shop.example"}
    values = {"transport": transport, "streams": yaml.safe_load(example)}
    handler = SyncHandler.model_validate(values)
    shipments = handler.streams["shipments"]
    assert isinstance(shipments, Stream)
    request = handler.bound(shipments).request
    assert isinstance(request, RestRequest)
    assert request.parent is not None
    assert request.parent.above.path == "/customers"


def test_the_graphql_request_is_one() -> None:
    """The example is taken as a file's."""
    (example,) = re.findall(r"```yaml\n(query:.*?)```", readme.FILE.read_text("utf-8"), re.DOTALL)
    request = GraphqlRequest.model_validate(yaml.safe_load(example))
    assert request.records == "data.orders.data"
    assert [*request.nested] == ["line_items"]
