"""The configuration of a deployment: environment variables only, each with the package's name in capitals before it."""

import re
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from .errors import UserError

PREFIX = f"{(__package__ or '').upper()}_"

DIGESTS = r"^([0-9a-f]{64}(,[0-9a-f]{64})*)?$"


class Settings(BaseSettings):
    """Where things are and what the server allows. `.env.example` lists every variable."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", hide_input_in_errors=True)

    state: Path = Path(".state")
    """Everything an embedded run writes; `make clean` removes it."""
    data_url: str = ""
    """The folder of an S3 bucket that holds the lake, the quarantine, the offline store and monitoring's tables, like
    `s3://BUCKET/PREFIX`; empty means folders of `state`. Who may read and write there is the environment's identity."""
    registry_uri: str = ""
    """MLflow tracking URI; empty means a SQLite file in `state`."""
    online_url: SecretStr = SecretStr("")
    """Redis for the online store, `redis://` or `rediss://` (TLS); empty means a SQLite file in `state`.

    It may hold a password: its value is shown nowhere, and only `environment` and the store itself look at it."""
    pushgateway_url: str = Field(default="", pattern=r"^(https?://[^\s@/]+(/[^\s@]*)?)?$")
    """The Pushgateway that `monitor run` pushes its gauges to; empty pushes none."""
    pushgateway_job: str = Field(default=__package__ or "", pattern=r"^\w+$")
    """The job that it pushes them under, which is the one that Prometheus asks this environment's servers under."""
    study_url: SecretStr = SecretStr("")
    """The database of the studies of `train --trials` and `tune`, `postgresql://` or `mysql://`; empty means a SQLite
    file in `state`. It may hold a password: see online_url."""
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    metrics_port: int = Field(default=8001, ge=0, le=65535)
    sync_seconds: float = Field(default=0.5, gt=0, le=3600)
    """How often the registry's aliases are looked at."""
    reload_seconds: float = Field(default=0.25, gt=0, le=60)
    """How often the server looks at the bundle links."""
    predict_keys: str = Field(default="", pattern=DIGESTS)
    """sha256 digests (hexadecimal, with commas between them) of the keys that may ask for predictions."""
    operate_keys: str = Field(default="", pattern=DIGESTS)
    """The same for the keys that may look at what operates: the model, the API's description."""
    front_authenticates: bool = False
    """Whether nobody reaches the server but through something that has authenticated them and sends no key."""
    fixed_bundle: str = ""
    """A folder with the one bundle to serve, which is only read; empty follows the registry."""
    workers: int = Field(default=1, ge=1, le=64)
    """Processes that answer."""
    drain_seconds: float = Field(default=0.0, ge=0, le=600)
    """How long the server goes on answering after SIGTERM, with a readiness that fails."""
    keep_alive_seconds: int = Field(default=75, ge=1, le=3600)
    """How long an idle connection is kept: longer than the load balancer in front keeps it."""
    header_seconds: float = Field(default=5.0, gt=0, le=600)
    """How long the headers of a request may take to arrive."""
    body_seconds: float = Field(default=10.0, gt=0, le=600)
    """How long the body of a request may take to arrive, and an answer to be taken."""
    maximum_header_bytes: int = Field(default=16_384, ge=1_024)
    maximum_connections: int = Field(default=1_000, ge=1)
    """Open connections of each worker."""
    maximum_waiting: int = Field(default=64, ge=1)
    """Predictions that may wait for their turn in each worker; one more is refused with 503."""
    maximum_body_bytes: int = Field(default=1_000_000, ge=1_000)
    maximum_rows: int = Field(default=1_000, ge=1)
    request_log: Literal["errors", "all"] = "errors"
    """Of which requests a line is written: those that failed (5xx) or were slow, or every one."""
    slow_seconds: float = Field(default=1.0, gt=0)
    """A request that takes longer is slow."""
    segment_bytes: int = Field(default=64_000_000, ge=10_000)
    """The size at which a file of the prediction log is finished and the next one begun."""
    revision: str = ""
    """The git commit that the code is of, which an image knows; empty means that of the working directory."""
    memory_limit: str = "1GB"
    """What DuckDB may use before it spills to disk."""
    spark_master: str = "local[2]"
    """Where Spark runs: `local[CORES]` is this machine, `spark://HOST:PORT` a standalone cluster."""
    spark_memory: str = Field(default="2g", pattern=r"^[1-9][0-9]*[mg]$")
    """What Spark's driver may use, and on a cluster each of its executors."""

    def environment(self) -> dict[str, str]:
        """Return these settings as the environment of another process."""
        return {
            f"{PREFIX}{name.upper()}": value.get_secret_value() if isinstance(value, SecretStr) else str(value)
            for name, value in self.model_dump().items()
        }

    @property
    def keys(self) -> dict[str, tuple[str, ...]]:
        """The digests of the valid keys by role."""
        held = {"predict": self.predict_keys, "operate": self.operate_keys}
        return {role: tuple(digests.split(",")) for role, digests in held.items() if digests}

    @field_validator("data_url")
    @classmethod
    def _bucket_or_empty(cls, url: str) -> str:
        """Refuse anything that is no folder of an S3 bucket; one slash at the end does no harm."""
        if re.match(r"(abfss?|az|gs|gcs)://", url):
            raise ValueError("partitions are replaced whole on S3 only; leave it empty, and STATE is a shared volume")
        if url and not re.fullmatch(r"s3://[a-z0-9][a-z0-9.-]{2,62}(/[^\s/?#]+)*/?", url):
            raise ValueError("it must be empty, or like s3://BUCKET/PREFIX")
        return url.rstrip("/")

    @field_validator("online_url")
    @classmethod
    def _redis_or_empty(cls, url: SecretStr) -> SecretStr:
        """Refuse anything that is no address of a Redis, without repeating it."""
        try:
            parts = urlsplit(url.get_secret_value())
            fits = parts.scheme in ("redis", "rediss") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            fits = False
        if url.get_secret_value() and not fits:
            raise ValueError(
                "it must be empty, or like redis://HOST:PORT/0 or rediss://USER:PASSWORD@HOST:PORT/0, with what is "
                "special in the password written as %XX"
            )
        return url

    @field_validator("study_url")
    @classmethod
    def _database_or_empty(cls, url: SecretStr) -> SecretStr:
        """Refuse anything that is no address of a database that several machines can write to, without repeating it."""
        try:
            parts = urlsplit(url.get_secret_value())
            kind = parts.scheme.partition("+")[0]
            fits = kind in ("postgresql", "mysql") and bool(parts.hostname) and bool(parts.path.strip("/"))
        except ValueError:
            fits = False
        if url.get_secret_value() and not fits:
            raise ValueError(
                "it must be empty, or like postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with what is special in the "
                "password written as %XX"
            )
        return url

    @property
    def lake(self) -> Path:
        """Source tables, one Parquet partition a day; where `data_url` is set they are there. See lake.stores."""
        return self.state / "lake"

    @property
    def quarantine(self) -> Path:
        """Partitions that broke their contract, with the reason. As the lake."""
        return self.state / "quarantine"

    @property
    def features(self) -> Path:
        """The offline store. As the lake."""
        return self.state / "features"

    @property
    def online(self) -> Path:
        """The online store where it is a SQLite file."""
        return self.state / "online.db"

    @property
    def bundles(self) -> Path:
        """Verified bundles, and a link for each alias."""
        return self.state / "bundles"

    def make_bundles(self) -> Path:
        """Return the folder of the bundles, and make it where it is missing. Raises UserError."""
        try:
            self.bundles.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"{self.bundles} cannot be made ({error.strerror}); {PREFIX}STATE must be a folder, in a container a "
                "volume, that this user may write to"
            ) from error
        return self.bundles

    @property
    def predictions(self) -> Path:
        """The prediction log."""
        return self.state / "prediction_log"

    @property
    def monitoring(self) -> Path:
        """What monitoring measured and decided, by day. As the lake."""
        return self.state / "monitoring"

    @property
    def journal(self) -> Path:
        """The folder of what happened, to which lines are added: always of the state."""
        return self.state / "monitoring"

    @property
    def audit(self) -> Path:
        """Every decision about a model version, one line each; nothing of it is ever changed."""
        return self.state / "audit.jsonl"

    @property
    def report(self) -> Path:
        """The report, one HTML file."""
        return self.state / "report.html"

    @property
    def artifacts(self) -> Path:
        """Where the embedded registry keeps the bundles."""
        return self.state / "mlartifacts"

    @property
    def studies(self) -> str:
        """Where Optuna keeps its studies."""
        return self.study_url.get_secret_value() or f"sqlite:///{(self.state / 'studies.db').resolve()}"

    @property
    def tracking_uri(self) -> str:
        """Where MLflow keeps runs and versions."""
        return self.registry_uri or f"sqlite:///{(self.state / 'mlflow.db').resolve()}"


def load() -> Settings:
    """Return the settings of this process. Raises UserError with one sentence per wrong variable."""
    try:
        return Settings()
    except ValidationError as error:
        raise refusal(error) from error


def refusal(error: ValidationError) -> UserError:
    """Return what is wrong with the environment, in one sentence per variable."""
    wrong = "; ".join(f"{PREFIX}{'_'.join(map(str, item['loc'])).upper()}: {item['msg']}" for item in error.errors())
    return UserError(f"the environment is wrong: {wrong}; .env.example lists what each variable takes")
