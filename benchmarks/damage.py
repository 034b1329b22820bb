"""Load damaged files of every format; prints a table of what happened. Run: python benchmarks/damage.py [--count 2000]

Anything but a mesh or a FacekitError, more than 5 s or more than 1 GB is a fault, whose file is kept in --keep.
"""

from __future__ import annotations

import argparse
import collections
import resource
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

import numpy as np

import facekit

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.conftest import TinyPipe, sphere
from tests.io.damage import FORMATS, damaged, originals

_SECONDS, _MEGABYTES = 5.0, 1024.0


def main() -> int:
    """Measure and print; 1 where there was a fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000, help="damaged files of each format (default: 2000)")
    parser.add_argument("--seed", type=int, default=0, help="which ones (default: 0)")
    parser.add_argument("--formats", default=",".join(FORMATS), help=f"out of {','.join(FORMATS)}")
    parser.add_argument("--keep", type=Path, default=Path("out/damage"), help="folder (default: out/damage)")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    face = TinyPipe(sphere())(seed=7, expression="smile")  # small, so that a damaged file is read in milliseconds
    faults = 0
    print(
        "| format | loaded | refused | faults | slowest, s | memory, MB |\n| --- | ---: | ---: | ---: | ---: | ---: |"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole = originals(face, folder)
        for kind in args.formats.split(","):
            seen: collections.Counter[str] = collections.Counter()
            slowest, before = 0.0, _megabytes()
            draw = np.random.default_rng([args.seed, FORMATS.index(kind)])
            for k in range(args.count):
                path = folder / f"face.{kind.rpartition('.')[2]}"
                path.write_bytes(damaged(whole[kind], draw))
                start = time.perf_counter()
                outcome = _outcome(path)
                seconds = time.perf_counter() - start
                slowest = max(slowest, seconds)
                fault = outcome not in ("loaded", "refused") or seconds > _SECONDS
                seen["fault" if fault else outcome] += 1
                if fault:
                    args.keep.mkdir(parents=True, exist_ok=True)
                    (args.keep / f"{k}.{kind}").write_bytes(path.read_bytes())
                    print(f"{k}.{kind}: {outcome}, {seconds:.1f} s", file=sys.stderr)
            memory = _megabytes() - before
            faults += seen["fault"] + (memory > _MEGABYTES)
            print(
                f"| {kind} | {seen['loaded']} | {seen['refused']} | {seen['fault']} | {slowest:.2f} | {memory:.0f} |",
                flush=True,
            )
    return 1 if faults else 0


def _outcome(path: Path) -> str:
    try:
        facekit.load(path)
    except facekit.FacekitError:
        return "refused"
    except Exception:  # noqa: BLE001  what must not come is what is looked for
        return traceback.format_exc()
    return "loaded"


def _megabytes() -> float:
    """The most memory that the process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    sys.exit(main())
