"""Questions about a path that a user named, or that a stranger's folder holds. None of them raises.

Whether something exists is a question for `os.path`: it says no where `Path.is_dir` and its like
raise, until Python 3.14 in a folder that is closed to this user or for too long a name. Where the
difference matters, `access_problem` tells it.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path


def access_problem(path: str | os.PathLike[str]) -> str | None:
    """Why it cannot be told what is at `path`, or in that folder, such as "Permission denied".

    None if it can be told, and if nothing is there.
    """
    try:
        if stat.S_ISDIR(os.stat(path).st_mode):
            os.stat(os.path.join(path, "."))  # to list a folder is one permission, to enter another
            os.scandir(path).close()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return error.strerror
    except ValueError as error:  # Python's words for NUL differ from version to version
        return "embedded null byte" if "\0" in os.fspath(path) else str(error)
    return None


def user_path(name: str) -> Path:
    """A typed path, with ``~`` as the home folder; ``~nobody`` stays as it is."""
    return Path(os.path.expanduser(name))
