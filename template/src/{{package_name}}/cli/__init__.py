"""The command line. Each group of verbs has a file; `compose.py` builds what they need; importing it does nothing."""

import os
import signal
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from ..errors import UserError
from . import bundle, data, features, monitor, predictions, registry
from .compose import PACKAGE, Day, Seed, make_project, make_settings, optional, today

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)
groups = {
    "data": data,
    "features": features,
    "registry": registry,
    "bundle": bundle,
    "predictions": predictions,
    "monitor": monitor,
}
for name, group in groups.items():
    app.add_typer(group.app, name=name)


@app.command()
def train(
    until: Day = None,
    trials: Annotated[int, typer.Option(min=0, help="Search the parameters first, in so many trials in all.")] = 0,
    seed: Seed = 7,
) -> None:
    """Train on what was known before --until (UTC day), run the gates, and register the version."""
    project = make_project()
    from ..training.simple import NAMES

    version, candidate = project.train(until or today(), seed, {"decided_by": "command line"}, trials=trials)
    metrics = candidate.manifest.metrics
    print(
        f"version {version.number}: trained {candidate.manifest.trained_since} to {candidate.manifest.trained_until}, "
        f"tested until {candidate.manifest.tested_until}: "
        f"AUC {metrics['auc']:.3f} (baseline {metrics['baseline_auc']:.3f})"
    )
    over = {name: metrics["auc"] - metrics[f"{key}_auc"] for key, name in NAMES.items()}
    gained = " and ".join(f"{gain:+.3f} over {name}" for name, gain in over.items())
    print(f"  what the complex model buys: AUC {gained}")
    for gate in candidate.gates:
        print(f"  {gate}")
    if not candidate.passed:
        raise UserError(f"version {version.number} is registered, and refused by its gates; it cannot be promoted")


@app.command()
def tune(
    trials: Annotated[int, typer.Option(min=1, help="How many trials the study has in all, whoever runs them.")],
    until: Day = None,
    seed: Seed = 7,
) -> None:
    """Work on a parameter study beside other workers; `train` with the same options takes its result."""
    best = make_project().tune(until or today(), seed, trials, lambda line: print(line, flush=True))
    print("best: " + ", ".join(f"{name} {value:.4g}" for name, value in best.items() if not isinstance(value, str)))


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Without keys only loopback addresses are allowed.")] = None,
    port: Annotated[int | None, typer.Option(help="0 takes a free one.")] = None,
    metrics_port: Annotated[int | None, typer.Option(help="0 takes a free one.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, max=64, help="Processes that answer.")] = None,
) -> None:
    """Serve predictions over HTTP, with a process beside it that follows the registry where MLflow is installed."""
    from ..serving.run import run

    settings = make_settings()
    changed = {"host": host, "port": port, "metrics_port": metrics_port, "workers": workers}
    settings = settings.model_copy(update={key: value for key, value in changed.items() if value is not None})
    sync = [sys.executable, "-m", PACKAGE, "registry", "sync", "--watch", "--parent", str(os.getpid())]
    # The serving image has no MLflow: the sync image runs beside it. And a fixed bundle follows nothing.
    run(settings, sync if find_spec("mlflow") and not settings.fixed_bundle else [])


@app.command("serve-key")
def serve_key() -> None:
    """Make a key for the server and print it, and its hash, which is all that the server is told."""
    from ..serving.auth import make_key

    key, digest = make_key()
    print(f"key   {key}")
    print(f"hash  {digest}")


@app.command()
def score(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="A Parquet file, or a folder of daily partitions.")],
    target: Annotated[Path, typer.Argument(metavar="OUTPUT", help="A file or a folder, as the input is.")],
) -> None:
    """Score rows with the champion, beside a record of what each output was made from; what is done stays."""
    from .score import run

    run(make_project, source, target)


if simulate := optional("simulate"):  # a project that was generated without the sandbox has no such verb
    simulate.add_to(app)


def main() -> None:
    """Run the command line; a user's mistake is one line on standard error and exit code 1."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # XGBoost waits asleep: spinning costs tenfold on busy cores
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is ended too
    try:
        app()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
