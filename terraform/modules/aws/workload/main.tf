# What one project gets in one environment: a prefix of the lake with its tables, a role for its service account, image
# repositories, a secret, alarms, and streams and an endpoint if it asks for them. Nothing here is shared with another
# project.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  name      = "${var.project}-${var.environment}"
  partition = data.aws_partition.current.partition

  # The names of k8s/overlays.
  namespace       = var.environment == "production" ? var.project : local.name
  service_account = var.project

  bucket_arn = "arn:${local.partition}:s3:::${var.lake.bucket}"
  issuer     = trimprefix(var.cluster.oidc_issuer, "https://")

  # The project publishes its predictions. Events it would read, by code of the team's own: it has none.
  stream_actions = {
    predictions = ["kinesis:PutRecords"]
    events      = ["kinesis:DescribeStreamSummary", "kinesis:GetRecords", "kinesis:GetShardIterator", "kinesis:ListShards"]
  }

  # The types of `features list --json` in the words of Hive.
  hive = { boolean = "boolean", float64 = "double", int64 = "bigint", string = "string", timestamp = "timestamp" }
}

module "secrets" {
  source = "../secrets"

  name                    = local.name
  secrets                 = { settings = "The secret settings of ${var.project} in ${var.environment}, a JSON object" }
  recovery_window_in_days = var.sandbox ? 0 : 30
}

module "registry" {
  source = "../registry"

  prefix       = var.environment
  repositories = [for target in ["serve", "sync", "pipeline"] : "${var.project}/${target}"]
  kms_key_arn  = module.secrets.key_arn
  force_delete = var.sandbox
}

module "stream" {
  source = "../stream"

  name        = local.name
  streams     = var.streams
  kms_key_arn = module.secrets.key_arn
}

module "alarms" {
  source = "../alarms"

  name        = local.name
  emails      = var.alarm_emails
  alarms      = merge(module.stream.alarms, module.endpoint[*].alarms...)
  kms_key_arn = module.secrets.key_arn
}

# The same image on SageMaker, for those who ask for it.
module "endpoint" {
  source = "../endpoint"
  count  = var.endpoint == null ? 0 : 1

  name    = local.name
  package = coalesce(var.package, replace(var.project, "-", "_"))
  image = {
    repository_url = "${module.registry.image_registry}/${var.project}/serve"
    repository_arn = "arn:${local.partition}:ecr:${data.aws_region.current.name}:${data.aws_caller_identity.current.account_id}:repository/${var.environment}/${var.project}/serve"
    tag            = var.endpoint.image_tag
  }
  model = {
    bucket  = var.lake.bucket
    key     = "${local.name}/endpoint/${var.endpoint.bundle}.tar.gz"
    key_arn = var.lake.key_arn
  }
  network       = var.endpoint.network
  settings      = var.endpoint_settings
  instance_type = var.endpoint.instance_type
  instances     = var.endpoint.instances
  kms_key_arn   = module.secrets.key_arn
}

# The tables over the offline store: Hive layout, one partition a day. Projection computes the partitions from the
# path, so that a new day is there without a crawler and without a write to the catalog.

resource "aws_glue_catalog_database" "this" {
  name         = replace(local.name, "-", "_")
  description  = "The feature store of ${var.project} in ${var.environment}"
  location_uri = "s3://${var.lake.bucket}/${local.name}/features/"
}

resource "aws_glue_catalog_table" "this" {
  for_each = var.tables

  database_name = aws_glue_catalog_database.this.name
  name          = each.key
  description   = "The feature view ${each.key}: one row for each time that a value became known"
  table_type    = "EXTERNAL_TABLE"

  parameters = {
    EXTERNAL                        = "TRUE"
    classification                  = "parquet"
    "projection.enabled"            = "true"
    "projection.date.type"          = "date"
    "projection.date.format"        = "yyyy-MM-dd"
    "projection.date.range"         = "${var.first_day},NOW+1DAYS"
    "storage.location.template"     = "s3://${var.lake.bucket}/${local.name}/features/${each.key}/date=$${date}/"
    "parquet.compression"           = "ZSTD"
    "projection.date.interval"      = "1"
    "projection.date.interval.unit" = "DAYS"
  }

  partition_keys {
    name    = "date"
    type    = "date"
    comment = "The UTC day of available_at"
  }

  storage_descriptor {
    location      = "s3://${var.lake.bucket}/${local.name}/features/${each.key}/"
    input_format  = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat"
    output_format = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat"

    ser_de_info {
      serialization_library = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
    }

    dynamic "columns" {
      for_each = each.value

      content {
        name = columns.value.name
        type = local.hive[columns.value.type]
      }
    }
  }
}

# The role that the project's pods act in: the cluster vouches for the service account, and STS believes it. No key is
# stored anywhere.

resource "aws_iam_role" "this" {
  name        = local.name
  description = "What the pods of ${var.project} in ${var.environment} may do"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "ThisServiceAccount"
      Effect    = "Allow"
      Principal = { Federated = var.cluster.oidc_provider_arn }
      Action    = "sts:AssumeRoleWithWebIdentity"
      Condition = {
        StringEquals = {
          "${local.issuer}:aud" = "sts.amazonaws.com"
          "${local.issuer}:sub" = "system:serviceaccount:${local.namespace}:${local.service_account}"
        }
      }
    }]
  })
}

resource "aws_iam_role_policy" "this" {
  name = "workload"
  role = aws_iam_role.this.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        {
          Sid       = "ListOwnData"
          Effect    = "Allow"
          Action    = "s3:ListBucket"
          Resource  = local.bucket_arn
          Condition = { StringLike = { "s3:prefix" = ["${local.name}/*"] } }
        },
        {
          Sid      = "OwnData"
          Effect   = "Allow"
          Action   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
          Resource = "${local.bucket_arn}/${local.name}/*"
        },
        {
          # S3 asks for the key in the role's name; nothing else may be done with it.
          Sid       = "KeyOfTheLake"
          Effect    = "Allow"
          Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
          Resource  = var.lake.key_arn
          Condition = { StringEquals = { "kms:ViaService" = "s3.${data.aws_region.current.name}.amazonaws.com" } }
        },
        {
          Sid      = "OwnKey"
          Effect   = "Allow"
          Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
          Resource = module.secrets.key_arn
        },
        {
          Sid      = "OwnSecret"
          Effect   = "Allow"
          Action   = ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"]
          Resource = module.secrets.secret_arns["settings"]
        },
      ],
      [
        for stream, arn in module.stream.arns : {
          Sid      = "OwnStream${title(stream)}"
          Effect   = "Allow"
          Action   = local.stream_actions[stream]
          Resource = arn
        }
      ],
    )
  })
}
