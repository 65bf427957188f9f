"""The whole year with a fault of each kind: its time against 12 minutes on two cores, and what was named, and when.

The clock counts, so that nothing else may run on the machine: the replay, the server and the nightly job share its
cores. The ways to retrain are compared afterwards, and do not count.
"""

import resource
import shutil
import subprocess
import sys
import time
from datetime import timedelta

import msgspec
from flight_delays.monitoring.replayed import FILE, Replayed
from harness import PROJECT, judge

LIMIT = 720.0  # seconds
STATE = PROJECT / ".state" / "year"
MONTH = timedelta(days=30)


def make(*words: str) -> None:
    """Run targets of the project's Makefile; a fault that was not named in time is told below."""
    subprocess.run(["make", "--no-print-directory", *words], cwd=PROJECT, check=False)


def worked() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    shutil.rmtree(STATE, ignore_errors=True)
    began, before = time.monotonic(), worked()
    make("year", "COMPARE=")
    elapsed, seconds = time.monotonic() - began, worked() - before
    make("year")
    found = msgspec.json.decode((STATE / "monitoring" / FILE).read_bytes(), type=Replayed)
    print()
    for item in found.planted:
        when = f"after {timedelta(minutes=item.minutes)}" if item.named_at else "NOT IN TIME"
        print(f"{item.fault:<22}{item.day}  {item.cause:<10} {when}")
    months = found.days * timedelta(days=1) / MONTH
    print(f"pages that no fault explains: {len(found.unfounded)} in {months:.1f} months")
    for rival in found.rivals:
        print(f"{rival.name:<10} mean daily AUC {rival.auc:.4f}, {rival.retrains} retrains")
    loop, calendar = (next(item for item in found.rivals if item.name == name) for name in ("loop", "calendar"))
    print(f"{found.predictions:,} predictions, {found.bytes / 1e6:,.0f} MB, {seconds:,.0f} s of the processor")
    held = [
        judge(
            "year named in time",
            sum(item.named_at is not None for item in found.planted) / len(found.planted),
            1.0,
            at_most=False,
        ),
        judge("year unfounded pages a month", len(found.unfounded) / months, 1.0),
        judge("year loop's AUC over the calendar's", loop.auc / calendar.auc, 1.0, at_most=False),
        judge("year loop's retrains over the calendar's", loop.retrains / calendar.retrains, 1.0),
        judge("year", elapsed / LIMIT, 1.0),
    ]
    sys.exit(0 if all(held) else 1)


if __name__ == "__main__":
    main()
