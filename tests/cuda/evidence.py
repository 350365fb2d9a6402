"""Whether what docs/gpu-evidence.md records was seen with the kernels as they are now.

Usage: evidence.py hash SOURCE_FOLDER | evidence.py check SOURCE_FOLDER
`check` prints STALE or none and exits with 77 (skipped) where the newest record is of other kernels.
"""
import hashlib
import pathlib
import sys


def kernel_hash(source):
    """A hash of every file of kernels/cuda, and of the exponential that they have from elsewhere: names and contents."""
    digest = hashlib.sha256()
    folder = pathlib.Path(source) / "kernels/cuda"
    paths = [p for p in folder.iterdir() if p.suffix in (".hpp", ".cpp", ".cu")]
    for path in [*sorted(paths), pathlib.Path(source) / "src/core/exponential.hpp"]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def check(source):
    rows = [line for line in (pathlib.Path(source) / "docs/gpu-evidence.md").read_text().splitlines()
            if line.startswith("| ") and not line.startswith(("| kernels", "|---"))]
    now = kernel_hash(source)
    if not rows:
        print(f"SKIPPED: none: no device has run these kernels ({now})")
        return 77
    newest = rows[-1].split("|")[1].strip()
    if newest != now:
        print(f"SKIPPED: STALE: the newest record is of kernels {newest}, these are {now}")
        return 77
    print(f"kernels {now}: {rows[-1]}")
    return 0


if __name__ == "__main__":
    if sys.argv[1] == "hash":
        print(kernel_hash(sys.argv[2]))
    else:
        sys.exit(check(sys.argv[2]))
