"""Run a command and print its processor and wall time: ``processor_time.py COMMAND ...``."""

import resource
import subprocess
import sys
import time


def main(command: list[str]) -> None:
    """Run it, children and all."""
    begun = time.perf_counter()
    subprocess.run(command, check=True)
    wall = time.perf_counter() - begun
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"processor {usage.ru_utime + usage.ru_stime:.2f} s, wall {wall:.2f} s", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
