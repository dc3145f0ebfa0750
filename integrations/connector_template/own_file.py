"""The Python files of a connector's folder, which is no package: each is run by its path."""

import sys
import traceback
from pathlib import Path
from types import ModuleType
from zlib import crc32

from integrations.errors import FixConfig, Mistake


def run(file: Path) -> ModuleType:
    """The module that a file makes, run anew.

    Raises `FixConfig` with the line at which it stopped, whatever it was.
    """
    # Two folders may be called the same. Typing looks for a class's module by its name.
    name = f"_connector_{file.parent.name}_{file.stem}_{crc32(bytes(file)):08x}"
    module = ModuleType(name)
    module.__file__ = str(file)
    sys.modules[name] = module
    try:
        # Not by its loader, which keeps compiled files beside it and tells them by whole seconds.
        exec(compile(file.read_bytes(), str(file), "exec"), module.__dict__)  # noqa: S102
    except BaseException as error:  # whatever the file raises is a mistake of the file
        found = f"cannot be imported: {type(error).__name__}: {error}"
        mistake = Mistake(found, file=str(file), line=_line(error, file))
        what = f"{file.name} cannot be imported"
        raise FixConfig(what, where=str(file), mistakes=[mistake]) from error
    return module


def _line(error: BaseException, file: Path) -> int:
    """The line of a file at which its import stopped; 0 where the error names none."""
    if isinstance(error, SyntaxError) and error.filename == str(file):
        return error.lineno or 0
    frames = traceback.extract_tb(error.__traceback__)
    return next((frame.lineno or 0 for frame in reversed(frames) if frame.filename == str(file)), 0)
