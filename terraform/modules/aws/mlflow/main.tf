# The registry's right to its artifacts. MLflow hands them out itself (k8s/base/mlflow): projects have no key to them, and
# the pods of MLflow have this role and no other.

data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  prefix     = "mlflow" # no project's: theirs end in an environment
  bucket_arn = "arn:${data.aws_partition.current.partition}:s3:::${var.lake.bucket}"
  issuer     = trimprefix(var.cluster.oidc_issuer, "https://")
}

resource "aws_iam_role" "this" {
  name        = "${var.name}-mlflow"
  description = "What the pods of MLflow of ${var.name} may do: read and write their artifacts"

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
          "${local.issuer}:sub" = "system:serviceaccount:platform:mlflow" # as in k8s/base/mlflow
        }
      }
    }]
  })
}

resource "aws_iam_role_policy" "this" {
  name = "artifacts"
  role = aws_iam_role.this.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "ListArtifacts"
        Effect    = "Allow"
        Action    = "s3:ListBucket"
        Resource  = local.bucket_arn
        Condition = { StringLike = { "s3:prefix" = ["${local.prefix}/*"] } }
      },
      {
        # Deleting, as `registry prune` and MLflow's garbage collection do: versions of the bucket keep it for a while.
        Sid      = "Artifacts"
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
        Resource = "${local.bucket_arn}/${local.prefix}/*"
      },
      {
        Sid       = "KeyOfTheLake"
        Effect    = "Allow"
        Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource  = var.lake.key_arn
        Condition = { StringEquals = { "kms:ViaService" = "s3.${data.aws_region.current.name}.amazonaws.com" } }
      },
    ]
  })
}
