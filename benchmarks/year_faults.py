"""Seeded schedules of faults that nothing was tuned on, three weeks each: how many faults are named, with which cause.

Seeds may be given, such as 101 102; all of them take half an hour.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from datetime import date, timedelta
from pathlib import Path

import msgspec
from flight_delays.lake import FILE as PART
from flight_delays.monitoring.replayed import FILE, Replayed
from flight_delays.settings import PREFIX
from harness import COMMAND, PROJECT, judge, landed_year, run

STARTS = (date(2013, 4, 1), date(2013, 6, 1), date(2013, 8, 1), date(2013, 10, 1))
SPAN = timedelta(days=21)
SEEDS = range(101, 121)


def served_from(start: date) -> Path:
    """Make the state of a service that begins on a day, once, and return its folder."""
    state = PROJECT / ".state" / "starts" / str(start)
    if not (state / "mlflow.db").exists():
        shutil.rmtree(state, ignore_errors=True)
        for part in (landed_year() / "lake").glob(f"*/date=*/{PART}"):
            if part.parent.name < f"date={start}":
                target = state / part.relative_to(landed_year())
                target.parent.mkdir(parents=True)
                shutil.copyfile(part, target)
        for words in (f"features build --until {start}", f"train --until {start}", "registry promote 1"):
            run(state, words)
    return state


def replay(seed: int) -> Replayed:
    """Replay three weeks with the faults of a seed; one that is not named in time is no error here."""
    start = STARTS[seed % len(STARTS)]
    folder = Path(tempfile.mkdtemp())
    try:
        state = Path(shutil.copytree(served_from(start), folder / "state", symlinks=True))
        words = f"simulate --from {start} --to {start + SPAN - timedelta(days=1)} --faults {seed} --seed {seed}"
        environment = {**os.environ, f"{PREFIX}STATE": str(state)}
        subprocess.run([COMMAND, *words.split()], env=environment, stdout=subprocess.DEVNULL, check=False)
        return msgspec.json.decode((state / "monitoring" / FILE).read_bytes(), type=Replayed)
    finally:
        shutil.rmtree(folder)


def main() -> None:
    named, planted, unfounded, days = defaultdict(list[float]), defaultdict(int), 0, 0
    for seed in [int(word) for word in sys.argv[1:]] or SEEDS:
        found = replay(seed)
        days += found.days
        unfounded += len(found.unfounded)
        for item in found.planted:
            planted[item.fault] += 1
            if item.named_at:
                named[item.fault].append(item.minutes)
            else:
                print(f"seed {seed}: {item.fault} of {item.day} was not named in time", flush=True)
        for text in found.unfounded:
            print(f"seed {seed}: no fault explains {text}", flush=True)
        print(f"seed {seed}: {', '.join(f'{item.fault}@{item.day}' for item in found.planted)}", flush=True)
    for fault, count in sorted(planted.items()):
        latest = timedelta(minutes=max(named[fault], default=0.0))
        print(f"{fault:<22}{len(named[fault])} of {count} named in time, the latest after {latest}")
    share = sum(map(len, named.values())) / max(sum(planted.values()), 1)
    held = [
        judge("year-faults unfounded pages a month", unfounded / (days / 30), 1.0),
        judge("year-faults", share, 1.0, at_most=False),
    ]
    sys.exit(0 if all(held) else 1)


if __name__ == "__main__":
    main()
