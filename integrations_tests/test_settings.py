"""Where an installation keeps its things, as the environment and the folders say."""

import os
import stat
from pathlib import Path

import pytest

from integrations.errors import FixConfig
from integrations.redaction import redact
from integrations.secrets import Secret
from integrations.settings import Settings

UNCLEAR = (
    "INTEGRATIONS_DATABASE_URL cannot be read; in its user and password @ is written %40, : %3A, "
    "/ %2F, ? %3F"
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a dagster.yaml."""
    folder = tmp_path / "project"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "dagster.yaml").touch()
    return folder


@pytest.mark.parametrize("below", [".", "deep", "deep/er"])
def test_the_home_is_beside_the_nearest_dagster_yaml(project: Path, below: str) -> None:
    """From anywhere inside the project the same home is found."""
    settings = Settings.find(create=True, cwd=project / below, env={})
    assert settings == Settings(
        home=project / ".integrations",
        database_url=None,
        landing_url=(project / ".integrations" / "raw").as_uri(),
        connectors_path=(),
    )


def test_a_home_of_your_own_comes_first(project: Path) -> None:
    """INTEGRATIONS_HOME wins; a relative one counts from the working folder."""
    settings = Settings.find(create=True, cwd=project, env={"INTEGRATIONS_HOME": "mine/home"})
    assert settings.home == project / "mine" / "home"


def test_dagsters_home_is_the_last_resort(project: Path, tmp_path: Path) -> None:
    """Dagster's processes may work elsewhere than where their dagster.yaml is."""
    (tmp_path / "elsewhere").mkdir()
    found = Settings.find(
        create=True, cwd=tmp_path / "elsewhere", env={"DAGSTER_HOME": str(project)}
    )
    assert found.home == project / ".integrations"


def test_no_project_is_no_home(tmp_path: Path) -> None:
    """Outside a project nothing is made, and the message says what to do."""
    with pytest.raises(FixConfig, match=r"no dagster\.yaml in .* set INTEGRATIONS_HOME to"):
        Settings.find(create=True, cwd=tmp_path, env={})
    assert list(tmp_path.iterdir()) == []


def test_a_missing_home_is_made_only_when_asked(project: Path) -> None:
    """Reading commands make nothing."""
    with pytest.raises(FixConfig, match=r"there is no home at .* yet"):
        Settings.find(cwd=project, env={})
    made = Settings.find(create=True, cwd=project, env={})
    assert Settings.find(cwd=project, env={}) == made


def test_a_home_is_closed_and_ignored_by_git(project: Path) -> None:
    """Only its owner enters a home, also after somebody opened it, and git does not see it."""
    home = Settings.find(create=True, cwd=project, env={}).home
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert (home / ".gitignore").read_text().splitlines()[-1] == "*"
    home.chmod(0o755)
    Settings.find(cwd=project, env={})
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_a_folder_with_other_things_is_no_home(tmp_path: Path) -> None:
    """A folder that is in use for something else keeps its permissions and gets no files."""
    (tmp_path / "letters.txt").touch()
    tmp_path.chmod(0o755)
    with pytest.raises(FixConfig, match="holds other things"):
        Settings.find(create=True, env={"INTEGRATIONS_HOME": str(tmp_path)})
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
    assert [entry.name for entry in tmp_path.iterdir()] == ["letters.txt"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's folder")
def test_another_users_home_is_refused(project: Path) -> None:
    """Root does not leave files of its own in somebody's home."""
    home = Settings.find(create=True, cwd=project, env={}).home
    os.chown(home, 12345, 12345)
    with pytest.raises(FixConfig, match="belongs to another user"):
        Settings.find(create=True, cwd=project, env={})


@pytest.mark.parametrize(
    "url", ["postgresql://me:hunter22@db/x", "postgres://me:hunter22@db:5433/x?sslmode=require"]
)
def test_your_own_database(project: Path, url: str) -> None:
    """Its URL is taken as it is, and printing the settings does not show it."""
    settings = Settings.find(create=True, cwd=project, env={"INTEGRATIONS_DATABASE_URL": url})
    assert settings.database_url == Secret(url)
    assert "hunter22" not in f"{settings} {settings!r}"


@pytest.mark.parametrize(
    ("rest", "secret"),
    [
        ("u:s3cretOne@h1:1,[::1]:2,h3/db", "s3cretOne"),
        ("u:s3cret%2FTwo%40@h/db", "s3cret/Two@"),
        ("u:s3cret%2FTwo%40@h/db", "s3cret%2FTwo%40"),
        ("/db?host=/tmp&user=a@b&password=s3cret%2BThree", "s3cret+Three"),
        ("%2Ftmp%2Fsocket/db?password=s3cretFour", "s3cretFour"),
    ],
)
def test_the_password_is_known_by_itself(project: Path, rest: str, secret: str) -> None:
    """A library that shows only a part of the URL does not show its password either."""
    url = f"postgresql://{rest}"
    Settings.find(create=True, cwd=project, env={"INTEGRATIONS_DATABASE_URL": url})
    assert redact(f"not accepted: {secret}") == "not accepted: •••"


def test_a_connectors_folder_itself(project: Path) -> None:
    """The path holds folders of connectors; one of the connectors would be passed over silently."""
    (project / "deep" / "defs.yaml").touch()
    env = {"INTEGRATIONS_CONNECTORS_PATH": "deep"}
    with pytest.raises(FixConfig, match=r"deep is a connector; name the folder above it$"):
        Settings.find(create=True, cwd=project, env=env)


@pytest.mark.parametrize("url", ["s3://bucket/raw", "file:///data/raw", "s3://bucket/raw/"])
def test_your_own_landing_zone(project: Path, url: str) -> None:
    """A landing zone may be elsewhere; a closing slash says nothing."""
    settings = Settings.find(create=True, cwd=project, env={"INTEGRATIONS_LANDING_URL": url})
    assert settings.landing_url == url.rstrip("/")


def test_further_connectors(project: Path) -> None:
    """Several folders, separated as in PATH; relative ones count from the working folder."""
    (project / "one").mkdir()
    env = {"INTEGRATIONS_CONNECTORS_PATH": os.pathsep.join(["one", str(project / "deep"), ""])}
    settings = Settings.find(create=True, cwd=project, env=env)
    assert settings.connectors_path == (project / "one", project / "deep")


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        (
            {"INTEGRATIONS_DATABASE_URL": "mysql://me:hunter22@db/x"},
            ["INTEGRATIONS_DATABASE_URL must begin with postgresql:// or postgres://"],
        ),
        *(
            ({"INTEGRATIONS_DATABASE_URL": f"postgresql://{rest}"}, [UNCLEAR])
            for rest in (
                "u:pa@ss@hunter22@host/db",
                "u:p/hunter22@host/db",
                "u:p?hunter22@host/db",
                "u:p#hunter22@host/db",
                "u:p[hunter22@host/db",
                "u:p@host:hunter22/db",
            )
        ),
        (
            {"INTEGRATIONS_LANDING_URL": "ftp://x/y"},
            ["INTEGRATIONS_LANDING_URL must be file:///an/absolute/folder or s3://bucket/prefix"],
        ),
        (
            {"INTEGRATIONS_LANDING_URL": "file://raw"},
            ["INTEGRATIONS_LANDING_URL must be file:///an/absolute/folder or s3://bucket/prefix"],
        ),
        (
            {"INTEGRATIONS_CONNECTORS_PATH": "/nowhere", "INTEGRATIONS_DATABASE_URL": "db"},
            [
                "INTEGRATIONS_DATABASE_URL must begin with postgresql:// or postgres://",
                "INTEGRATIONS_CONNECTORS_PATH: /nowhere is no folder",
            ],
        ),
    ],
)
def test_every_mistake_is_said_at_once(
    project: Path, env: dict[str, str], expected: list[str]
) -> None:
    """What is wrong is named by its variable, never by a value that may hold a password."""
    with pytest.raises(FixConfig) as raised:
        Settings.find(create=True, cwd=project, env=env)
    assert [mistake.message for mistake in raised.value.mistakes] == expected
    assert "hunter22" not in str(raised.value)
    assert not (project / ".integrations").exists()
