"""`data`: raw tables in."""

from datetime import UTC, date, datetime
from typing import Annotated

import typer

from ..errors import UserError
from .compose import Day, make_project, make_settings, parse_day, today

app = typer.Typer(no_args_is_help=True, help="Raw tables in.")


@app.command("land")
def data_land(until: Day = None) -> None:
    """Land every day before --until (UTC; default today) that the lake does not hold yet."""
    landing = make_project().land(until or today())
    count = sum(len(days) for days in landing.landed.values())
    print(f"landed {count} partitions of {len(landing.landed)} sources")
    if landing.quarantined:
        table, day, reason = landing.quarantined[0]
        raise UserError(
            f"{len(landing.quarantined)} partition(s) went to quarantine, the first {table} of {day} ({reason}); "
            "`data quarantine` says why"
        )


@app.command("quarantine")
def data_quarantine() -> None:
    """List the partitions that broke their contract, and why."""
    from ..lake import stores
    from ..landing import explanation, quarantined

    quarantine = stores(make_settings()).quarantine
    held = quarantined(quarantine, date.min, date.max)
    for table, day in held:
        note = explanation(quarantine, table, day)
        print(f"{table} {day}  {note['rows']} rows  {note['reason']}")
    print(f"{len(held)} partition(s) in {quarantine}")


@app.command("release")
def data_release(
    source: str,
    day: Annotated[date, typer.Argument(parser=parse_day, metavar="DAY")],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why the day is true as it is; kept on record.")],
) -> None:
    """Publish a quarantined DAY of SOURCE as it was delivered, when it broke freshness, volume or a reference only."""
    done = make_project().release(source, day, reason, datetime.now(UTC))
    print(f"{source} of {day} {'is in the lake' if done else 'was released before'}; build the features since {day}")
