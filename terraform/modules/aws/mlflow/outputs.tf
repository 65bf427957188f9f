# The same names on every cloud; k8s/overlays/cloud takes both.

output "service_account_annotations" {
  description = "What MLflow's service account carries, so that its pods act in the role."
  value       = { "eks.amazonaws.com/role-arn" = aws_iam_role.this.arn }
}

output "artifacts_url" {
  description = "Where the artifacts are: `MLFLOW_ARTIFACTS_DESTINATION`."
  value       = "s3://${var.lake.bucket}/${local.prefix}"
}
