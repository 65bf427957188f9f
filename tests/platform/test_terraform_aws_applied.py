"""The AWS example, really applied to a stand-in of AWS, used by the project, and destroyed.

moto stands in for AWS on loopback. It believes every credential and reads no condition of a policy, so that what a
policy allows is asserted on its document. What it cannot do at all is tested in the modules' own tests, by mocks.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aws_stand_in import started
from aws_terraform import Terraform
from on_aws import VERBS

# What of the example is applied: moto has no add-ons, access entries and replication groups, and takes minutes for a
# database that it then describes wrongly.
APPLIED = ("network", "lake", "registry", "mlflow", "flight_delays")
# It also forgets how a cluster was made, and would replace it. Another issuer takes its place, another group that of
# Redis. The endpoint, which is off by default, is on.
STAND_IN = {
    "stand_in.tf": """
resource "aws_iam_openid_connect_provider" "stand_in" {
  url            = "https://oidc.example.org/cluster"
  client_id_list = ["sts.amazonaws.com"]
}

resource "aws_security_group" "stand_in_cache" {
  name   = "stand-in-cache"
  vpc_id = module.network.vpc_id
}
""",
    "stand_in_override.tf": """
module "flight_delays" {
  cluster = {
    oidc_provider_arn = aws_iam_openid_connect_provider.stand_in.arn
    oidc_issuer       = "https://oidc.example.org/cluster"
  }
  endpoint = {
    image_tag = "0a1b2c3"
    bundle    = "3-0123456789ab"
    network = {
      vpc_id                  = module.network.vpc_id
      subnet_ids              = module.network.subnet_ids
      cache_security_group_id = aws_security_group.stand_in_cache.id
    }
  }
  endpoint_settings = { ONLINE_URL = "rediss://reader:word@cache.example.org:6379/0" }
}

module "mlflow" {
  cluster = {
    oidc_provider_arn = aws_iam_openid_connect_provider.stand_in.arn
    oidc_issuer       = "https://oidc.example.org/cluster"
  }
}
""",
}
# What the second plan still wants to change, and why. Everything else is as it was applied.
FORGOTTEN = {
    ("aws_kinesis_stream", "tags_all"): "moto keeps no tags that a stream was made with",
    ("aws_vpc_security_group_egress_rule", "description"): "moto keeps none where a rule names a group or a list",
    ("aws_vpc_security_group_ingress_rule", "description"): "moto keeps none where a rule names a group",
    ("aws_sagemaker_endpoint_configuration", "data_capture_config"): "moto answers with one that is off",
    ("aws_sagemaker_endpoint_configuration", "production_variants"): "moto answers 0 for what was not given",
}
# For what it forgets of these, they would be made anew.
REPLACED = {"aws_sagemaker_endpoint_configuration"}
# Statements that allow any action or any resource, and why they have to.
WILDCARDS = {
    "AccountDecides": "in a key's policy the resource is the key, and the account must be able to administer it",
    "LogsEncrypt": "in a key's policy the resource is the key",
    "AlarmsPublish": "in a key's policy the resource is the key",
    "SignInToTheRegistry": "AWS signs in to the registry as a whole; what may be read there is named",
    "Metrics": "metrics have no ARN; a condition names their namespace",
    "LookAtTheNetwork": "EC2 takes no resource where it only lists",
    "OwnBuckets": "an endpoint's policy: any bucket of the account, which its condition says",
    "module.network.aws_vpc_endpoint.interface": "AWS's default: roles say who may do what",
}
# What neither the plan nor the part that is applied knows the policy of, and the module whose own test reads it.
POLICIES_READ_ELSEWHERE = {
    "module.alarms.aws_sns_topic_policy.this": "alarms, which is applied in the workload",
    "module.cluster.aws_efs_file_system_policy.this": "cluster",
    "module.cluster.aws_iam_role.addon": "cluster",
    "module.cluster.aws_iam_role_policy.cluster": "cluster",
}
# What Parquet calls the types of Glue.
PARQUET = {
    "bigint": "int64",
    "boolean": "bool",
    "double": "double",
    "string": "string",
    "timestamp": "timestamp[us, tz=UTC]",
}


Calls = Callable[[list[Any]], list[Any]]


@dataclass(frozen=True)
class Applied:
    """The example after it was planned as a whole, applied in part, and planned again."""

    folder: Path
    planned: dict[str, Any]
    """The resources of the first plan, of everything, by address."""
    state: dict[str, Any]
    """The resources as applied, by address."""
    second: dict[str, Any]
    """The second plan."""
    aws: Calls
    """Makes calls of the AWS API."""
    terraform: Callable[..., str]
    """Runs a command of Terraform in the example."""

    def call(self, service: str, method: str, **arguments: Any) -> Any:
        """Return the answer of one call."""
        return self.aws([[service, method, arguments]])[0]


def resources(module: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a module's resources, and of the modules in it, by address."""
    own = {each["address"]: each.get("values", {}) for each in module.get("resources", []) if each["mode"] == "managed"}
    for child in module.get("child_modules", []):
        own |= resources(child)
    return own


def call(python: str, environment: Mapping[str, str], calls: list[Any]) -> list[Any]:
    """Make calls of the API in an environment, and return what each answered."""
    script = [python, str(Path(__file__).with_name("aws_calls.py"))]
    done = subprocess.run(
        script,
        input=json.dumps(calls),
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    answers: list[Any] = json.loads(done.stdout)
    return answers


@pytest.fixture(scope="module")
def aws_account(
    platform_tool: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[dict[str, str], Calls]]:
    """Return the environment of an empty account of moto's, and the function that makes calls of its API."""
    log = tmp_path_factory.mktemp("moto") / "moto.log"
    with started(platform_tool("moto_server"), log, MOTO_IAM_LOAD_MANAGED_POLICIES="true") as stand_in:
        region = "eu-central-1"
        environment = stand_in.environment(region) | {"AWS_DEFAULT_REGION": region}
        yield environment, partial(call, platform_tool("python"), environment)


def open_buckets(call: Calls) -> None:
    """Take the policies off the buckets: without their conditions, which moto does not read, they deny everything."""
    names = [bucket["Name"] for bucket in call([["s3", "list_buckets", {}]])[0]["Buckets"]]
    call([["s3", "delete_bucket_policy", {"Bucket": name}] for name in names])


@pytest.fixture(scope="module")
def applied(
    aws_terraform: Terraform,
    terraform_copy: Path,
    aws_account: tuple[dict[str, str], Calls],
) -> Applied:
    """Return the example as applied: its state in a bucket of its own, with a lock, as a team has it."""
    account, call = aws_account
    example = terraform_copy / "examples" / "aws"
    bootstrap = example / "bootstrap"
    for name, text in STAND_IN.items():
        (example / name).write_text(text)

    def run(folder: Path, *words: str, expect: int = 0) -> str:
        return aws_terraform(folder, *words, expect=expect, TF_VAR_cache_auth_token="0" * 32, **account)

    run(bootstrap, "init")
    run(bootstrap, "apply", "-auto-approve")
    made = json.loads(run(bootstrap, "show", "-json"))["values"]["root_module"]
    run(bootstrap, "plan", "-detailed-exitcode")  # exits 2 when anything would change
    open_buckets(call)
    (example / "backend.hcl").write_text(run(bootstrap, "output", "-raw", "backend"))

    values = ["-var-file=staging.tfvars", "-var=sandbox=true"]
    parts = [f"-target=module.{name}" for name in APPLIED]
    run(example, "init", "-backend-config=backend.hcl", "-backend-config=key=platform/staging.tfstate")
    run(example, "plan", *values, "-out=first.plan")
    planned = json.loads(run(example, "show", "-json", "first.plan"))["planned_values"]["root_module"]
    run(example, "apply", "-auto-approve", *values, *parts)
    state = json.loads(run(example, "show", "-json"))["values"]["root_module"]
    run(example, "plan", *values, *parts, "-out=second.plan")
    second = json.loads(run(example, "show", "-json", "second.plan"))
    open_buckets(call)
    state = {**{f"bootstrap.{address}": each for address, each in resources(made).items()}, **resources(state)}
    return Applied(example, resources(planned), state, second, call, partial(run, example))


def of_type(found: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return the resources of one type."""
    return {address: values for address, values in found.items() if f"{kind}." in address}


def test_a_second_plan_changes_nothing_but_what_moto_forgets(applied: Applied) -> None:
    changed = set()
    for each in applied.second["resource_changes"]:
        if each["change"]["actions"] not in (["no-op"], ["read"]):
            change, replaced = each["change"], each["type"] in REPLACED
            assert change["actions"] == (["create", "delete"] if replaced else ["update"]), each["address"]
            before, after = change["before"], change["after"]
            unknown = {name for name, is_unknown in change["after_unknown"].items() if is_unknown is True}
            for name in (before | after).keys() - unknown:
                if before.get(name) != after.get(name) and {name, str(before.get(name))} != {"tags", "{}"}:
                    changed.add((each["type"], name))
    assert changed == set(FORGOTTEN)
    assert len(applied.state) > 70


def test_no_bucket_is_public_or_readable_without_tls(applied: Applied) -> None:
    for found in (of_type(applied.planned, "aws_s3_bucket_public_access_block"),
                  of_type(applied.state, "aws_s3_bucket_public_access_block")):  # fmt: skip
        for block in found.values():
            assert all(block[f"{what}"] for what in (
                "block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets",
            ))  # fmt: skip
    buckets = of_type(applied.state, "aws_s3_bucket")
    named = {values["bucket"]: values["arn"] for address, values in buckets.items() if "aws_s3_bucket." in address}
    assert len(named) == 2
    blocked = {values["bucket"] for values in of_type(applied.state, "aws_s3_bucket_public_access_block").values()}
    policies = {
        values["bucket"]: json.loads(values["policy"])
        for values in of_type(applied.state, "aws_s3_bucket_policy").values()
    }
    assert blocked == policies.keys() == named.keys()
    for bucket, policy in policies.items():
        assert {
            "Sid": "TlsOnly", "Effect": "Deny", "Principal": "*", "Action": "s3:*",
            "Resource": [named[bucket], f"{named[bucket]}/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        } in policy["Statement"]  # fmt: skip
        assert not [statement for statement in policy["Statement"] if statement["Effect"] == "Allow"]


def test_everything_that_is_kept_is_encrypted_with_a_key_of_ours(applied: Applied) -> None:
    keys = {values["arn"] for values in of_type(applied.state, "aws_kms_key").values()}
    assert len(keys) == 4
    assert all(values["enable_key_rotation"] for values in of_type(applied.state, "aws_kms_key").values())
    held = {
        "aws_s3_bucket_server_side_encryption_configuration": lambda values: values["rule"][0][
            "apply_server_side_encryption_by_default"][0]["kms_master_key_id"],
        "aws_ecr_repository": lambda values: values["encryption_configuration"][0]["kms_key"],
        "aws_kinesis_stream": lambda values: values["kms_key_id"],
        "aws_secretsmanager_secret": lambda values: values["kms_key_id"],
        "aws_sns_topic": lambda values: values["kms_master_key_id"],
        "aws_cloudwatch_log_group": lambda values: values["kms_key_id"],
        "aws_sagemaker_endpoint_configuration": lambda values: values["kms_key_arn"],
        "aws_athena_workgroup": lambda values: values["configuration"][0]["result_configuration"][0][
            "encryption_configuration"][0]["kms_key_arn"],
    }  # fmt: skip
    for kind, key in held.items():
        found = of_type(applied.state, kind)
        assert found, kind
        assert {key(values) for values in found.values()} <= keys, kind
    # What is not applied, as planned.
    (database,) = of_type(applied.planned, "aws_db_instance").values()
    assert database["storage_encrypted"]
    assert not database["publicly_accessible"]
    (cache,) = of_type(applied.planned, "aws_elasticache_replication_group").values()
    assert cache["at_rest_encryption_enabled"] in (True, "true")
    assert cache["transit_encryption_enabled"]
    (files,) = of_type(applied.planned, "aws_efs_file_system").values()
    assert files["encrypted"]
    (nodes,) = of_type(applied.planned, "aws_launch_template").values()
    assert nodes["metadata_options"][0]["http_tokens"] == "required"


def allowed(values: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the statements that allow something in the policies of one resource."""
    for name in ("policy", "assume_role_policy"):
        document = json.loads(values.get(name) or "{}")
        yield from (each for each in document.get("Statement", []) if each["Effect"] == "Allow")


def words(value: str | list[str]) -> list[str]:
    """Return one or more words as a list."""
    return [value] if isinstance(value, str) else value


def test_no_policy_allows_everything_but_where_it_has_to(applied: Applied) -> None:
    found = set()
    for address, values in [*applied.state.items(), *applied.planned.items()]:
        if "aws_sns_topic.this" in address:
            continue  # AWS's default, until the policy beside it replaces it
        for statement in allowed(values):
            # What lies below one bucket or one log group is no wildcard.
            targets = [re.sub(r"(?<=\w)(/\*|:\*)$", "", target) for target in words(statement.get("Resource", []))]
            if any("*" in word for word in [*targets, *words(statement["Action"])]):
                found.add(statement.get("Sid", address.partition("[")[0]))
    assert found == WILDCARDS.keys()
    unread = {
        address.partition("[")[0]
        for address in applied.planned.keys() - applied.state.keys()
        if re.search(
            r"[.]aws_(iam_role|iam_role_policy|sns_topic_policy|\w+_(bucket|system|secret)_policy)[.]", address
        )
        and not list(allowed(applied.planned[address]))
    }
    assert unread == POLICIES_READ_ELSEWHERE.keys()


def test_the_role_is_for_one_service_account_and_reaches_its_own_prefix(applied: Applied) -> None:
    role = applied.state["module.flight_delays.aws_iam_role.this"]
    (trust,) = json.loads(role["assume_role_policy"])["Statement"]
    assert trust["Action"] == "sts:AssumeRoleWithWebIdentity"
    assert trust["Condition"]["StringEquals"] == {
        "oidc.example.org/cluster:aud": "sts.amazonaws.com",
        "oidc.example.org/cluster:sub": "system:serviceaccount:flight-delays-staging:flight-delays",
    }
    policy = json.loads(applied.state["module.flight_delays.aws_iam_role_policy.this"]["policy"])
    by_sid = {statement["Sid"]: statement for statement in policy["Statement"]}
    bucket = applied.state["module.lake.aws_s3_bucket.this"]["arn"]
    assert by_sid["OwnData"]["Resource"] == f"{bucket}/flight-delays-staging/*"
    assert by_sid["ListOwnData"]["Condition"] == {"StringLike": {"s3:prefix": ["flight-delays-staging/*"]}}
    (stream,) = (values["arn"] for values in of_type(applied.state, "aws_kinesis_stream").values())
    assert by_sid["OwnStreamPredictions"]["Resource"] == stream
    assert by_sid["OwnStreamPredictions"]["Action"] == ["kinesis:PutRecords"]


def test_the_state_is_in_the_bucket_and_two_applies_do_not_meet(applied: Applied) -> None:
    bucket = applied.state["bootstrap.aws_s3_bucket.state"]["bucket"]
    held = applied.call("s3", "get_object", Bucket=bucket, Key="platform/staging.tfstate")
    assert held["ServerSideEncryption"] == "aws:kms"
    assert json.loads(held["Body"])["resources"]
    # Somebody else is at it.
    lock = applied.folder / "lock.json"
    lock.write_text(json.dumps({"ID": "0a1b", "Operation": "OperationTypeApply", "Who": "somebody", "Info": ""}))
    where = {"Bucket": bucket, "Key": "platform/staging.tfstate.tflock"}
    applied.call("s3", "put_object", **where, Body=str(lock))
    refused = applied.terraform("plan", "-var-file=staging.tfvars", "-target=module.secrets", expect=1)
    assert "Error acquiring the state lock" in refused
    applied.call("s3", "delete_object", **where)


def test_the_catalog_describes_what_the_project_writes_to_the_lake(
    applied: Applied, golden_project: Path, root: Path, tmp_path: Path
) -> None:
    def project(*words: str) -> str:
        command = [str(golden_project / ".venv" / "bin" / words[0]), *words[1:]]
        environment = {**os.environ, "FLIGHT_DELAYS_STATE": str(tmp_path / "state")}
        return subprocess.run(
            command, cwd=golden_project, env=environment, check=True, stdout=subprocess.PIPE, text=True
        ).stdout

    listed = json.loads(project("flight-delays", "features", "list", "--json"))
    committed = json.loads((root / "terraform" / "examples" / "aws" / "tables.json").read_text())
    assert listed == committed, "type in a generated project: flight-delays features list --json, into tables.json"

    project("flight-delays", "data", "land", "--until", "2013-01-02")
    project("flight-delays", "features", "build")
    store = tmp_path / "state" / "features"
    url = applied.terraform("output", "-json", "flight_delays")
    bucket, _, prefix = json.loads(url)["data_url"].removeprefix("s3://").partition("/")
    files = sorted(store.glob("*/date=*/*.parquet"))
    assert files
    keys = [f"{prefix}/features/{path.relative_to(store).as_posix()}" for path in files]
    puts = [
        ["s3", "put_object", {"Bucket": bucket, "Key": key, "Body": str(path)}]
        for key, path in zip(keys, files, strict=True)
    ]
    assert {answer["ServerSideEncryption"] for answer in applied.aws(puts)} == {"aws:kms"}

    tables = applied.call("glue", "get_tables", DatabaseName="flight_delays_staging")["TableList"]
    assert {table["Name"] for table in tables} == set(listed) == {path.parents[1].name for path in files}
    schema = (
        "import sys, json, pyarrow.parquet as pq\n"
        "print(json.dumps([[[field.name, str(field.type)] for field in pq.read_schema(f)] for f in sys.argv[1:]]))"
    )
    written = dict(zip(files, json.loads(project("python", "-c", schema, *map(str, files))), strict=True))
    for table in tables:
        described = [[column["Name"], PARQUET[column["Type"]]] for column in table["StorageDescriptor"]["Columns"]]
        assert table["PartitionKeys"] == [{"Name": "date", "Type": "date", "Comment": "The UTC day of available_at"}]
        for path, key in zip(files, keys, strict=True):
            if path.parents[1].name == table["Name"]:
                assert written[path] == described, table["Name"]
                # Where Athena looks for a day is where the day was put.
                day = path.parent.name.removeprefix("date=")
                where = table["Parameters"]["storage.location.template"].replace("${date}", day)
                assert f"s3://{bucket}/{key}".startswith(where), where


# Forty answers of two rows in the log of a state, as a server writes them.
LOG = """
import sys
from datetime import timedelta
from pathlib import Path
from flight_delays.serving.prediction_log import PredictionLog
from tests.appender import NOON, answer

log = PredictionLog(Path(sys.argv[1]) / "prediction_log")
for hour in range(40):
    log.append(answer(f"a{hour}", *[NOON + timedelta(hours=hour)] * 2, scores=(0.25, 0.5)))
log.close()
"""


def test_the_projects_predictions_are_published_to_the_stream_and_read_again(
    applied: Applied, aws_account: tuple[dict[str, str], Calls], golden_project: Path, tmp_path: Path
) -> None:
    """They are folded into the applied bucket, and sent by the project's own verb."""
    made = json.loads(applied.terraform("output", "-json", "flight_delays"))
    name, state, other = made["stream_names"]["predictions"], tmp_path / "state", tmp_path / "other"

    def run(*words: object, given: str = "") -> str:
        command = [str(golden_project / ".venv" / "bin" / str(words[0])), *map(str, words[1:])]
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true"}
        environment |= aws_account[0] | {"FLIGHT_DELAYS_STATE": str(state), "FLIGHT_DELAYS_STREAM": name}
        environment |= {"FLIGHT_DELAYS_DATA_URL": made["data_url"]}
        done = subprocess.run(
            command, cwd=golden_project, env=environment, input=given, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("python", "-c", LOG, state)
    shutil.copytree(state, other)
    assert run("flight-delays", "predictions", "ship") == f"sent 80 new answers to the stream {name}\n"
    (shard,) = applied.call("kinesis", "list_shards", StreamName=name)["Shards"]
    start = {"StreamName": name, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
    iterator = applied.call("kinesis", "get_shard_iterator", **start)["ShardIterator"]
    lines = [record["Data"] for record in applied.call("kinesis", "get_records", ShardIterator=iterator)["Records"]]
    assert all(line.endswith("}\n") for line in lines)
    rows = {(row["request_id"], row["row"]): row["champion_score"] for row in map(json.loads, lines)}
    assert len(lines) == len(rows) == 80
    assert rows == {(f"a{hour}", row): score for hour in range(40) for row, score in enumerate((0.25, 0.5))}

    # Again; to a stream that is not there; and by somebody whom AWS does not know, from a state that sent nothing yet.
    unknown = {"FLIGHT_DELAYS_STREAM": name, "FLIGHT_DELAYS_STATE": str(other), "FLIGHT_DELAYS_DATA_URL": ""}
    changes = [{}, {"FLIGHT_DELAYS_STREAM": "nothing"}, unknown | {"LET_IN": "0"}]
    again, missing, denied = json.loads(run("python", "-c", VERBS, "predictions", "ship", given=json.dumps(changes)))
    assert again == [0, f"sent 0 new answers to the stream {name}\n"]
    assert missing[1].startswith("error: there is no stream nothing in this region; make it, or correct")
    assert denied[1].startswith(f"error: AWS denies this process the stream {name} (")
    assert missing[0] == denied[0] == 1


def test_the_endpoint_runs_the_projects_image_and_captures_nothing(applied: Applied) -> None:
    endpoint = applied.call("sagemaker", "describe_endpoint", EndpointName="flight-delays-staging")
    name = endpoint["EndpointConfigName"]
    configuration = applied.call("sagemaker", "describe_endpoint_config", EndpointConfigName=name)
    keys = {values["arn"] for values in of_type(applied.state, "aws_kms_key").values()}
    assert configuration["KmsKeyId"] in keys
    assert not (configuration.get("DataCaptureConfig") or {}).get("EnableCapture")
    (variant,) = configuration["ProductionVariants"]
    model = applied.call("sagemaker", "describe_model", ModelName=variant["ModelName"])
    container = model["PrimaryContainer"]
    assert container["Image"].endswith("/staging/flight-delays/serve:0a1b2c3")
    # The repository that the role may read is the one that the image is in.
    repositories = applied.call("ecr", "describe_repositories")["repositories"]
    (arn,) = [
        each["repositoryArn"] for each in repositories if container["Image"].startswith(f"{each['repositoryUri']}:")
    ]
    role = applied.state["module.flight_delays.module.endpoint[0].aws_iam_role_policy.this"]
    by_sid = {statement["Sid"]: statement for statement in json.loads(role["policy"])["Statement"]}
    assert by_sid["Image"]["Resource"] == arn
    bucket = applied.state["module.lake.aws_s3_bucket.this"]["bucket"]
    key = "flight-delays-staging/endpoint/3-0123456789ab.tar.gz"
    assert container["ModelDataUrl"] == f"s3://{bucket}/{key}"
    assert by_sid["Bundle"]["Resource"] == f"arn:aws:s3:::{bucket}/{key}"
    private = {values["id"] for values in of_type(applied.state, "aws_subnet").values()}
    assert set(model["VpcConfig"]["Subnets"]) == private


def test_mlflow_has_a_role_for_its_artifacts_and_for_nothing_else(applied: Applied) -> None:
    role, made = (
        applied.state["module.mlflow.aws_iam_role.this"],
        json.loads(applied.terraform("output", "-json", "mlflow")),
    )
    assert made["service_account_annotations"] == {"eks.amazonaws.com/role-arn": role["arn"]}
    policy = json.loads(applied.state["module.mlflow.aws_iam_role_policy.this"]["policy"])
    by_sid = {statement["Sid"]: statement for statement in policy["Statement"]}
    bucket = applied.state["module.lake.aws_s3_bucket.this"]["arn"]
    assert made["artifacts_url"] == f"{bucket.replace('arn:aws:s3:::', 's3://')}/mlflow"
    assert by_sid["Artifacts"]["Resource"] == f"{bucket}/mlflow/*"


def test_a_tag_of_an_image_is_written_once(applied: Applied) -> None:
    repositories = applied.call("ecr", "describe_repositories")["repositories"]
    names = {each["repositoryName"] for each in repositories}
    assert {f"staging/flight-delays/{target}" for target in ("serve", "sync", "pipeline")} <= names
    assert {each["imageTagMutability"] for each in repositories} == {"IMMUTABLE"}


def test_destroy_leaves_nothing(applied: Applied) -> None:  # the last test that uses the account
    applied.terraform("destroy", "-auto-approve", "-var-file=staging.tfvars", "-var=sandbox=true")
    left = applied.aws(
        [
            ["s3", "list_buckets", {}],
            ["ecr", "describe_repositories", {}],
            ["kinesis", "list_streams", {}],
            ["glue", "get_databases", {}],
            ["iam", "list_roles", {}],
            ["secretsmanager", "list_secrets", {}],
            ["sns", "list_topics", {}],
            ["sagemaker", "list_models", {}],
            ["sagemaker", "list_endpoint_configs", {}],
            ["sagemaker", "list_endpoints", {}],
            ["cloudwatch", "describe_alarms", {}],
            ["logs", "describe_log_groups", {}],
            ["ec2", "describe_vpcs", {"Filters": [{"Name": "is-default", "Values": ["false"]}]}],
            ["ec2", "describe_vpc_endpoints", {"Filters": [{"Name": "vpc-endpoint-state", "Values": ["available"]}]}],
        ]
    )
    buckets, *others = left
    assert [bucket["Name"] for bucket in buckets["Buckets"]] == ["ml-terraform-state-123456789012"]
    for answer in others:
        assert not [value for value in answer.values() if isinstance(value, list) and value]
