# The first four have the same names on every cloud: `make cloud` writes them into k8s/overlays/<environment>/cloud.

output "service_account_annotations" {
  description = "What the project's service account carries, so that its pods act in the role."
  value       = { "eks.amazonaws.com/role-arn" = aws_iam_role.this.arn }
}

output "image_registry" {
  description = "What stands before `<project>/serve` when an image is pushed or pulled."
  value       = module.registry.image_registry
}

output "data_url" {
  description = "Where the project's data is, without a slash at the end."
  value       = "s3://${var.lake.bucket}/${local.name}"
}

output "secret_name" {
  description = "The secret that holds the project's secret settings, a JSON object."
  value       = module.secrets.secret_names["settings"]
}

output "database" {
  description = "The database of the feature store in the Glue catalog, to query in Athena."
  value       = aws_glue_catalog_database.this.name
}

output "stream_names" {
  description = "The full name of each Kinesis stream."
  value       = module.stream.names
}

output "alarm_topic_arn" {
  description = "The topic of the project's alarms, for more alarms of your own."
  value       = module.alarms.topic_arn
}

output "endpoint" {
  description = "The SageMaker endpoint: its `name` to call, its `arn` for who may; null without one."
  value       = one([for each in module.endpoint : { name = each.name, arn = each.arn }])
}
