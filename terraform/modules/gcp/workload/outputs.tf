# The same names on every cloud: `make cloud` writes them into k8s/overlays/<environment>/cloud.

output "service_account_annotations" {
  description = "What the project's service account carries, so that its pods act in the identity."
  value       = { "iam.gke.io/gcp-service-account" = google_service_account.this.email }
}

output "image_registry" {
  description = "What stands before `<project>/serve` when an image is pushed or pulled."
  value       = var.image_registry
}

output "data_url" {
  description = "Where the project's data is, without a slash at the end."
  value       = "gs://${var.lake.bucket}/${local.name}"
}

output "secret_name" {
  description = "The secret that holds the project's secret settings, a JSON object."
  value       = google_secret_manager_secret.this.secret_id
}
