"""What the system refused (no space, no permission, ...) in one line: where, what, what to do."""

from __future__ import annotations

import errno
from pathlib import Path

KEPT = "what was trained is kept, run again then"
ADVICE = {
    errno.ENOSPC: f"free some space ({KEPT})",
    errno.EDQUOT: f"free some of your quota ({KEPT})",
    errno.EFBIG: f"raise the limit on file sizes, ulimit -f ({KEPT})",
    errno.EROFS: "choose a folder that can be written, with --runs",
    errno.EACCES: "choose a folder that you may write, with --runs",
    errno.EPERM: "choose a folder that you may write, with --runs",
    errno.ENOTDIR: "a file stands where a folder must be: move it away, or choose another folder with --runs",
    errno.EEXIST: "a file stands where a folder must be: move it away, or choose another folder with --runs",
    errno.ENAMETOOLONG: "choose a shorter name or folder",
    errno.EMFILE: "raise the limit on open files, ulimit -n, or lower --jobs",
    errno.EIO: "the disk may be failing: check it, then run again",
}


def explain_os_error(error: OSError, where: Path) -> str:
    """One line; `where` stands in for the path when the system named none."""
    if error.errno is None:  # raised by ourselves, path included
        return " ".join(str(error).split())
    advice = ADVICE.get(error.errno, "see to that, then run again")
    return f"{error.filename or where}: {(error.strerror or str(error)).lower()}; {advice}"
