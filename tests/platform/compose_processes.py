"""The services of infra/compose.yaml as processes of this machine.

PostgreSQL, Redis, Prometheus, Alertmanager, the Pushgateway and nginx are Debian's; MLflow is what infra/mlflow locks,
and SeaweedFS the binary of the image's version. Each gets the command, the environment and the files that compose.yaml
gives its container; names and ports are exchanged for free ports of loopback, and the folders of a container for some
below a temporary one. Grafana is left out, as no package index has it; test_observability.py asks what it would ask.
"""

import graphlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml
from local import answers, free_port, until

LEFT_OUT = {"grafana"}
DEBIAN_USER = "postgres"  # PostgreSQL refuses to run as root; Debian's package makes this account
# What a container of `weed mini` keeps to itself; on one machine with others each needs a port of its own.
WEED_PORTS = [f"{part}.port{kind}" for part in ("master", "volume", "filer", "admin") for kind in ("", ".grpc")]
WEED_PORTS += ["s3.port.grpc"]


class Platform:
    """The services of a copy of infra/, as processes of this machine."""

    def __init__(self, infra: Path, find: Callable[[str], str], project: str) -> None:
        """Take a copy of infra/ that is prepared, what finds a program, and HOST:PORT of the project's metrics."""
        self.infra = infra
        self._find = find
        self._secrets = dict(line.split("=", 1) for line in _assignments(infra / ".env"))
        composed = yaml.safe_load((infra / "compose.yaml").read_text(encoding="utf-8"))
        self.services: dict[str, dict[str, Any]] = composed["services"]
        # The port that a service's health check asks is its own.
        inner = {name: _port(service["healthcheck"]["test"]) for name, service in self.services.items()}
        self.ports = {f"{name}:{port}": free_port() for name, port in inner.items()} | {project: free_port()}
        self._own = {name: (port, self.ports[f"{name}:{port}"]) for name, port in inner.items()}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._weed = [f"-{name}={free_port()}" for name in WEED_PORTS]
        for path in (path for name in ("prometheus", "proxy") for path in (infra / name).iterdir()):
            text = self._local(path.read_text(encoding="utf-8"), path.parent.name)
            path.write_text(text.replace("_interval: 15s", "_interval: 1s"), encoding="utf-8")
        # What this machine's programs ask is what compose.yaml publishes on loopback.
        script = (infra / "machine.py").read_text(encoding="utf-8")
        for name, service in self.services.items():
            for published in service.get("ports", []):
                _, outside, inside = published.split(":")
                ours = self.ports[f"{name}:{inside}"]
                script = script.replace(f'"{name}": {outside}', f'"{name}": {ours}')
        (infra / "machine.py").write_text(script, encoding="utf-8")

    def machine(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run infra/machine.py, as `make` does."""
        command = [sys.executable, str(self.infra / "machine.py"), *words]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self._own[name][1]}"

    def start_all(self) -> None:
        """Start each service when those that it depends on are healthy."""
        after = {name: service.get("depends_on", {}) for name, service in self.services.items()}
        for name in graphlib.TopologicalSorter(after).static_order():
            assert all(condition == {"condition": "service_healthy"} for condition in after[name].values())
            if name not in LEFT_OUT:
                self.start(name)

    def start(self, name: str) -> None:
        """Start a service on the data that it has, and wait until its own health check holds."""
        command, user = self._command(name), DEBIAN_USER if name == "postgres" and os.getuid() == 0 else None
        fresh = not self._data(name).exists()
        _made(self._data(name))
        if fresh and name == "postgres":
            self._init_postgres(user)
        with (self.infra / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                command, cwd=self.infra, env=self._environment(name), user=user, group=user,
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        until(lambda: self.healthy(name), f"{name} is healthy", pause=0.2)  # some checks are processes
        if fresh and name == "postgres":
            self._run_psql()

    def stop(self, name: str) -> None:
        """Stop a service as `docker stop` does, and wait until it has ended."""
        process = self._running.pop(name)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT if name == "postgres" else signal.SIGTERM)
        try:
            process.wait(timeout=float(self.services[name].get("stop_grace_period", "10s").rstrip("s")))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def end(self) -> None:
        for name in reversed(list(self._running)):
            self.stop(name)

    @contextmanager
    def without(self, name: str, seconds: float) -> Iterator[None]:
        """Leave a service stopped for so long at least, and start it again."""
        self.stop(name)
        until_then = time.monotonic() + seconds
        yield
        time.sleep(max(0.0, until_then - time.monotonic()))
        self.start(name)

    def healthy(self, name: str) -> bool:
        """Ask the service's own health check."""
        process = self._running.get(name)
        assert process is None or process.poll() is None, (self.infra / f"{name}.log").read_text()[-4000:]
        kind, program, *options = [self._local(word, name) for word in self.services[name]["healthcheck"]["test"]]
        assert kind == "CMD"
        if program == "wget":
            return answers(options[-1])
        asked = subprocess.run(
            [self._program(name, program), *options], env=self._environment(name), capture_output=True, check=False
        )
        return asked.returncode == 0

    def _command(self, name: str) -> list[str]:
        """Return the command of a service, and what differs where it is no container."""
        program, *options = [self._local(word, name) for word in self.services[name].get("command", [])]
        _, port = self._own[name]
        if name == "postgres":
            options += ["-D", str(self._data(name)), "-h", "127.0.0.1", "-p", str(port), "-k", "", "-c", "fsync=off"]
        elif name == "redis":
            options += ["--bind", "127.0.0.1", "--port", str(port)]
        elif name == "objects":
            program, options = "weed", [program, *options, "-ip=127.0.0.1", *self._weed]
        elif name in ("prometheus", "alertmanager", "pushgateway"):  # the images have them as entry points
            program, options = name, [program, *options]
        return [self._program(name, program), *options]

    def _program(self, name: str, program: str) -> str:
        if name == "postgres":
            return str(Path(self._find("initdb")).parent / program)
        return self._find(f"mlflow/{program}" if name == "mlflow" else program)

    def _environment(self, name: str) -> dict[str, str]:
        given = {key: self._local(value, name) for key, value in self.services[name].get("environment", {}).items()}
        return {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **given}

    def _data(self, name: str) -> Path:
        return self.infra / "volumes" / name

    def _local(self, text: str, name: str) -> str:
        """Return a text of compose.yaml, or of a file that a service reads, as it is on this machine."""
        inner, outer = self._own[name]
        places = {"0.0.0.0": "127.0.0.1", "/tmp": str(_made(self.infra / "tmp" / name))}
        for volume in self.services[name].get("volumes", []):
            source, target = volume.removesuffix(":ro").split(":")
            path = self.infra / source if source.startswith(".") else self._data(source)
            assert path.is_dir() or not source.startswith("."), f"{name} mounts {source}, which is no folder"
            places[target] = str(path)
        parts = [rf"(?<=[/@\"]){re.escape(other)}(?![0-9])" for other in self.ports]
        parts += [rf"(?<![\w/.]){re.escape(place)}(?![\w.-])" for place in sorted(places, key=len, reverse=True)]
        parts += [rf"(?<![a-z]:)(?<![0-9.]){inner}(?![0-9])"]  # not that of a name
        known = {other: f"127.0.0.1:{port}" for other, port in self.ports.items()} | places
        text = re.sub("|".join(parts), lambda found: known.get(found[0], str(outer)), text)
        return re.sub(r"\$\{(\w+):\?\}", lambda found: self._secrets[found[1]], text)

    def _init_postgres(self, user: str | None) -> None:
        """Make the cluster as the image does, with the password of its environment."""
        data = self._data("postgres")
        password = self.infra / "password"
        password.write_text(self._environment("postgres")["POSTGRES_PASSWORD"])
        if user:
            shutil.chown(data, user, user)
            shutil.chown(password, user, user)
        make = ["--pgdata", str(data), "--username", "postgres", "--pwfile", str(password)]
        make += ["--auth", "scram-sha-256", "--no-sync"]
        subprocess.run(
            [self._find("initdb"), *make], user=user, group=user, cwd="/", stdout=subprocess.DEVNULL, check=True
        )

    def _run_psql(self) -> None:
        """Run what the image runs on an empty volume."""
        environment = self._environment("postgres")
        environment["PGPASSWORD"] = environment["POSTGRES_PASSWORD"]
        place = ["-h", "127.0.0.1", "-p", str(self._own["postgres"][1]), "-U", "postgres"]
        for script in sorted((self.infra / "postgres").glob("*.sql")):
            psql = [self._program("postgres", "psql"), *place, "--no-psqlrc", "-f", str(script)]
            subprocess.run(psql, env=environment, stdout=subprocess.DEVNULL, check=True)


def _assignments(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def _port(words: list[str]) -> int:
    """Return the port in a health check."""
    (found,) = set(re.findall(r"\b[1-9][0-9]{3}\b", " ".join(words)))
    return int(found)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
