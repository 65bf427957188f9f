# The same names on every cloud; k8s/overlays/cloud takes both.

output "service_account_annotations" {
  description = "What MLflow's service account carries, so that its pods act in the identity."
  value       = { "iam.gke.io/gcp-service-account" = google_service_account.this.email }
}

output "artifacts_url" {
  description = "Where the artifacts are: `MLFLOW_ARTIFACTS_DESTINATION`."
  value       = "gs://${var.lake.bucket}/${trimsuffix(google_storage_managed_folder.this.name, "/")}"
}
