"""Runs the tests of vapo-link over the MPI libraries that Python's packages bring: python3 tools/test_mpi.py

MPICH (both `libmpi.so.12` and the standard ABI's `libmpi_abi.so.1`) and Open MPI 5 are installed into target/tools.
With `--bench`, compares the sum in a fixed order with each library's MPI_Allreduce instead. Exits with 1 if a test fails.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIBRARIES = [("mpich", "libmpi.so.12"), ("mpich", "libmpi_abi.so.1"), ("openmpi", "libmpi.so.40")]
CARGO = ["cargo", "test", "-p", "vapo-link", "--test", "ranks"]
BENCH = ["cargo", "bench", "-p", "vapo-link", "--bench", "reduce"]


def install(package):
    """The directory of an environment that has the package; each its own, because both have an `mpirun`."""
    directory = ROOT / "target" / "tools" / package
    if not (directory / "bin" / "mpirun").exists():
        subprocess.run([sys.executable, "-m", "venv", directory], check=True)
        subprocess.run([directory / "bin" / "pip", "install", "--quiet", package], check=True)
    return directory


def main():
    failed = []
    for package, library in LIBRARIES:
        directory = install(package)
        print(f"{package}, {library}", flush=True)
        variables = {
            "MPIRUN": str(directory / "bin" / "mpirun"),
            "VAPO_MPI_LIB": str(directory / "lib" / library),
            "LD_LIBRARY_PATH": str(directory / "lib"),
        }
        command = BENCH if "--bench" in sys.argv else CARGO
        if subprocess.run(command, cwd=ROOT, env={**os.environ, **variables}).returncode:
            failed.append(library)
    print(f"failed: {', '.join(failed)}" if failed else "all libraries agree")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
