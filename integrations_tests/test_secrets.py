"""Secrets can be used, and cannot be shown: not by themselves, not by a log, not by an error."""

import base64
import copy
import html
import io
import json
import logging
import pickle
import sys
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from pydantic import TypeAdapter, ValidationError

from integrations.errors import FixConfig, RetryLater
from integrations.redaction import MASK, install_redactor, redact, redacted, scrub
from integrations.secrets import EnvSecret, FileSecret, Secret, SecretRef

PLAIN = "sk_test_51PlainTransportValue"
AWKWARD = "pä ss+w/o\"r'd&<x>\\y=\t%7e?"
VALUES = [PLAIN, AWKWARD]


@pytest.fixture
def hooks() -> Iterator[None]:
    """The redactor in place for one test, and what was there before afterwards."""
    before = logging.getLogRecordFactory(), sys.excepthook, threading.excepthook
    install_redactor()
    yield
    logging.setLogRecordFactory(before[0])
    sys.excepthook, threading.excepthook = before[1:]


@pytest.fixture
def log() -> Iterator[tuple[logging.Logger, io.StringIO]]:
    """A logger of this test's own and what its handler writes."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logger = logging.getLogger("integrations_tests.secrets")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield logger, stream
    logger.removeHandler(handler)


# --- the value ------------------------------------------------------------------------------------


@pytest.mark.parametrize("shown", [repr, str, ascii, "{}".format, "{!r:>40}".format, "%s".__mod__])
def test_a_secret_shows_dots_however_it_is_printed(shown: Callable[[Secret], str]) -> None:
    """No way of printing gives the value."""
    text = shown(Secret(PLAIN))
    assert PLAIN not in text
    assert text.strip() in (MASK, ascii(MASK)[1:-1])


def test_a_secret_inside_a_container_shows_dots() -> None:
    """`repr` of what holds it does not give it either."""
    assert repr({"key": Secret(PLAIN)}) == f"{{'key': {MASK}}}"


@pytest.mark.parametrize("leak", [pickle.dumps, json.dumps, msgspec.json.encode, vars, len, iter])
def test_a_secret_refuses_to_be_written_or_measured(leak: Callable[[Secret], object]) -> None:
    """What would make bytes of it, or tell its length, raises."""
    with pytest.raises(TypeError) as caught:
        leak(Secret(PLAIN))
    assert PLAIN not in str(caught.value)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_secret_cannot_be_pickled(protocol: int) -> None:
    """In no protocol, and it says why."""
    with pytest.raises(TypeError, match="a secret cannot be pickled"):
        pickle.dumps(Secret(PLAIN), protocol)


def test_a_secret_is_a_value() -> None:
    """Equal by value, hashable, unchangeable, and its copies are itself."""
    secret = Secret(PLAIN)
    assert secret == Secret(PLAIN)
    assert secret != Secret("sk_test_another_one")
    assert secret != PLAIN
    assert {secret: 1}[Secret(PLAIN)] == 1
    assert copy.copy(secret) is secret
    assert copy.deepcopy({"key": secret})["key"] is secret
    assert secret.reveal() == PLAIN
    with pytest.raises(AttributeError):
        secret._value = "changed"


# --- references -----------------------------------------------------------------------------------


def test_an_environment_variable_is_read_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The value is that of the moment of `resolve`."""
    ref = EnvSecret(env="TRANSPORT_KEY")
    assert not ref.available()
    monkeypatch.setenv("TRANSPORT_KEY", PLAIN)
    assert ref.available()
    assert ref.resolve().reveal() == PLAIN
    assert ref.name == "env:TRANSPORT_KEY"


@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_or_empty_variable_is_named(
    value: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says which variable a person must set."""
    if value is not None:
        monkeypatch.setenv("TRANSPORT_KEY", value)
    with pytest.raises(FixConfig, match="TRANSPORT_KEY"):
        EnvSecret(env="TRANSPORT_KEY").resolve()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("key-in-a-file", "key-in-a-file"),
        ("key-in-a-file\n", "key-in-a-file"),
        ("key-in-a-file\r\n", "key-in-a-file"),
        ("key-in-a-file\n\n", "key-in-a-file\n"),
        ("line one\nline two\r\n", "line one\nline two"),
        ("key\r", "key\r"),
    ],
)
def test_one_last_newline_of_a_file_is_dropped(content: str, expected: str, tmp_path: Path) -> None:
    """The line end that editors add is no part of the secret, any other is."""
    file = tmp_path / "key"
    file.write_bytes(content.encode())
    ref = FileSecret(file=file)
    assert expected == ref.resolve().reveal()
    assert ref.name == f"file:{file}"


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda file: None, "No such file"),
        (lambda file: file.mkdir(), "Is a directory"),
        (lambda file: file.write_bytes(b""), "is empty"),
        (lambda file: file.write_bytes(b"\n"), "is empty"),
        (lambda file: file.write_bytes(b"secret\xff\xfe"), "not UTF-8"),
    ],
)
def test_a_file_that_holds_no_secret_is_named(
    make: Callable[[Path], None], why: str, tmp_path: Path
) -> None:
    """The error says which file and what is wrong with it, and nothing of what is in it."""
    file = tmp_path / "key"
    make(file)
    ref = FileSecret(file=file)
    assert not ref.available()
    with pytest.raises(FixConfig, match=why) as caught:
        ref.resolve()
    assert str(file) in str(caught.value)
    assert "secret\\xff" not in redacted(caught.value)


@pytest.mark.parametrize("given", [{"env": "A", "file": "/b"}, {"env": "a b"}, {"value": "x"}, {}])
def test_a_reference_that_is_none_is_refused(given: dict[str, str]) -> None:
    """A reference is a variable or a file, and never the value."""
    with pytest.raises(ValidationError):
        TypeAdapter(SecretRef).validate_python(given)


# --- the redactor ---------------------------------------------------------------------------------


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "twice": lambda value: f"{value} and {value}",
    "inside a word": lambda value: f"x{value}y",
    "percent, all": lambda value: urllib.parse.quote(value, safe=""),
    "percent, path": urllib.parse.quote,
    "percent, form": urllib.parse.quote_plus,
    "percent, lower case": lambda value: "".join(
        char if char.isalnum() and char.isascii() else "".join(f"%{b:02x}" for b in char.encode())
        for char in value
    ),
    "percent, like JavaScript": lambda value: urllib.parse.quote(value, safe="!'()*"),
    "percent, twice": lambda value: urllib.parse.quote(urllib.parse.quote(value)),
    "base64": _b64,
    "base64, url-safe": lambda value: base64.urlsafe_b64encode(value.encode()).decode(),
    "base64, key as user": lambda value: f"Basic {_b64(f'{value}:')}",
    "base64, after 1": lambda value: _b64(f"a:{value}"),
    "base64, after 2": lambda value: _b64(f"ab:{value}"),
    "base64, after 3": lambda value: _b64(f"abc:{value}"),
    "base64, of a header": lambda value: _b64(f"Bearer {value}\r\n"),
    "base64, url-safe, after 2": lambda value: base64.urlsafe_b64encode(
        f"?>{value}".encode()
    ).decode(),
    "base64 in a URL": lambda value: urllib.parse.quote(_b64(f"~~~{value}"), safe=""),
    "JSON": json.dumps,
    "JSON, not ASCII": lambda value: json.dumps(value, ensure_ascii=False),
    "JSON, like PHP": lambda value: json.dumps(value).replace("/", "\\/"),
    "JSON in JSON": lambda value: json.dumps(json.dumps({"key": value})),
    "repr": repr,
    "ascii": ascii,
    "repr of bytes": lambda value: repr(value.encode()),
    "repr of repr": lambda value: repr(repr(value)),
    "HTML": html.escape,
    "HTML, text only": lambda value: html.escape(value, quote=False),
    "HTML, decimal": lambda value: "".join(
        char if char.isalnum() and char.isascii() else f"&#{ord(char)};" for char in value
    ),
    "HTML, twice": lambda value: html.escape(html.escape(value)),
    "XML": lambda value: html.escape(value).replace("&#x27;", "&apos;"),
    "hex": lambda value: value.encode().hex(),
    "hex, upper case": lambda value: value.encode().hex().upper(),
}


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_known_secret_is_masked_in_every_spelling(spelling: str, value: str) -> None:
    """However a text writes it, only the dots stay."""
    Secret(value)
    written = SPELLINGS[spelling](value)
    text = f"before: {written}, after"
    clean = redact(text)
    assert MASK in clean
    assert written not in clean
    assert clean.startswith("before: ")
    assert clean.endswith(", after")
    # No half of it either: what is left is punctuation and the few letters of the case itself.
    left = clean.removeprefix("before: ").removesuffix(", after").replace(MASK, "")
    assert left.replace("Basic", "").strip(" {}:,'\"b\\=keyandx") == ""


def test_other_text_is_left_alone() -> None:
    """Only the secret goes."""
    Secret(PLAIN)
    text = "GET /v1/charges?limit=100 answered 429 (request req_1) c2tfdGVzdF8="
    assert text == redact(text)


def test_of_two_secrets_the_longer_goes_first() -> None:
    """A secret that begins like another leaves no rest."""
    Secret("sk_test_stem")
    Secret("sk_test_stem_and_more")
    assert redact("key sk_test_stem_and_more!") == f"key {MASK}!"


def test_a_secret_under_six_characters_is_not_looked_for() -> None:
    """Masking every `abcde` would destroy the logs; white space around does not count."""
    Secret("abcde")
    Secret(" abc\n")
    assert redact("abcde abc") == "abcde abc"


def test_white_space_around_a_secret_is_no_part_of_it() -> None:
    """A key read with its line end is found without it."""
    Secret("key-with-newline\n")
    assert redact("'key-with-newline'") == f"'{MASK}'"


def test_a_traceback_is_redacted_with_its_causes() -> None:
    """Message, cause, note and group are all part of it."""
    Secret(PLAIN)
    try:
        try:
            raise ValueError(f"cause {PLAIN}")
        except ValueError as error:
            error.add_note(f"note {PLAIN}")
            raise RuntimeError(f"outer {PLAIN!r}") from error
    except RuntimeError as error:
        text = redacted(error)
    assert PLAIN not in text
    assert f"cause {MASK}" in text
    assert f"note {MASK}" in text
    assert f"outer '{MASK}'" in text
    assert "Traceback" in text


def test_scrubbing_changes_an_error_and_its_causes_in_place() -> None:
    """After it a system that stores messages stores no secret; clean parts stay what they are."""
    Secret(PLAIN)
    cause = OSError(2, "No such file", f"/run/{PLAIN}")
    error = RetryLater(f"bad {PLAIN}", where="stripe/main", retry_after=3.0)
    error.__cause__ = ExceptionGroup("group", [cause, KeyError(PLAIN), ValueError(7, b"ok")])
    assert scrub(error) is error
    assert str(error) == f"stripe/main: bad {MASK}"
    assert error.retry_after == 3.0
    assert cause.filename == f"/run/{MASK}"
    assert cause.errno == 2
    inner = error.__cause__.exceptions
    assert inner[1].args == (MASK,)
    assert inner[2].args == (7, b"ok")


# --- its places -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("hooks")
@pytest.mark.parametrize(
    ("message", "args"),
    [
        (f"key {PLAIN}", ()),
        ("key %s", (PLAIN,)),
        ("key %r in %d places", ({"key": PLAIN}, 3)),
        ("key %(key)s", ({"key": PLAIN},)),
        (f"key {PLAIN} of %d", (3,)),
        ("key %s", (RuntimeError(PLAIN),)),
        ("key %s", (SPELLINGS["base64, key as user"](PLAIN),)),
        ("key %.30s", (f"-{PLAIN}",)),
    ],
)
def test_no_log_record_holds_a_secret(
    message: str, args: tuple[object, ...], log: tuple[logging.Logger, io.StringIO]
) -> None:
    """Neither what is written nor the record that other handlers get, however it was logged."""
    Secret(PLAIN)
    logger, stream = log
    records: list[logging.LogRecord] = []
    keep = logging.Handler()
    keep.emit = records.append  # type: ignore[method-assign,assignment]
    logger.addHandler(keep)
    logger.warning(message, *args)
    logger.removeHandler(keep)
    assert len(records) == 1
    everything = stream.getvalue() + repr(vars(records[0]))
    assert MASK in everything
    assert PLAIN not in everything
    assert SPELLINGS["base64, key as user"](PLAIN) not in everything


@pytest.mark.usefixtures("hooks")
def test_a_message_that_does_not_fit_its_args_holds_no_secret() -> None:
    """Logging prints such a record's parts when it reports the mistake."""
    Secret(PLAIN)
    record = logging.getLogRecordFactory()(
        "n", logging.INFO, "f", 1, "%s and %s", (f"key {PLAIN}",), None
    )
    assert record.args == (f"key {MASK}",)
    assert PLAIN not in repr(vars(record))


@pytest.mark.usefixtures("hooks")
def test_a_logged_traceback_and_stack_hold_no_secret(
    log: tuple[logging.Logger, io.StringIO],
) -> None:
    """`logger.exception` writes the traceback, redacted."""
    Secret(PLAIN)
    logger, stream = log
    try:
        raise ValueError(f"key {PLAIN}")
    except ValueError:
        logger.exception("it failed", stack_info=True)
    assert PLAIN not in stream.getvalue()
    assert f"ValueError: key {MASK}" in stream.getvalue()


@pytest.mark.usefixtures("hooks")
def test_a_record_without_a_secret_is_not_touched(
    log: tuple[logging.Logger, io.StringIO],
) -> None:
    """Handlers of others still get the args and the exception they format themselves."""
    record = logging.getLogRecordFactory()(
        "n", logging.INFO, "f", 1, "%s %d", ("clean", 1), (ValueError, ValueError("x"), None)
    )
    assert record.args == ("clean", 1)
    assert record.exc_info is not None
    assert record.getMessage() == "clean 1"


@pytest.mark.usefixtures("hooks")
def test_args_keep_their_number_for_formatters_that_read_them() -> None:
    """A web server's access log takes the args apart: they are masked one by one."""
    Secret(PLAIN)
    record = logging.getLogRecordFactory()(
        "n", logging.INFO, "f", 1, '%s - "%s" %d', ("host", f"/?key={PLAIN}", 200), None
    )
    assert record.args == ("host", f"/?key={MASK}", 200)


@pytest.mark.usefixtures("hooks")
def test_installing_twice_changes_nothing() -> None:
    """It wraps what is there once."""
    before = logging.getLogRecordFactory(), sys.excepthook, threading.excepthook
    install_redactor()
    assert before == (logging.getLogRecordFactory(), sys.excepthook, threading.excepthook)


@pytest.mark.usefixtures("hooks")
def test_an_error_that_ends_the_process_is_redacted(capsys: pytest.CaptureFixture[str]) -> None:
    """The interpreter's last words hold no secret."""
    Secret(PLAIN)
    error = ValueError(f"key {PLAIN}")
    sys.excepthook(ValueError, error, None)
    assert capsys.readouterr().err == f"ValueError: key {MASK}\n"


@pytest.mark.usefixtures("hooks")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_error_that_ends_a_thread_is_redacted(capsys: pytest.CaptureFixture[str]) -> None:
    """Nor do those of a thread."""
    Secret(PLAIN)

    def fail() -> None:
        raise ValueError(f"key {PLAIN}")

    thread = threading.Thread(target=fail, name="worker")
    thread.start()
    thread.join()
    err = capsys.readouterr().err
    assert "Exception in thread worker" in err
    assert f"ValueError: key {MASK}" in err
    assert PLAIN not in err
