# The same names on every cloud; k8s/overlays/cloud takes both.

output "service_account_annotations" {
  description = "What MLflow's service account carries, so that its pods act in the identity."
  value       = { "azure.workload.identity/client-id" = azurerm_user_assigned_identity.this.client_id }
}

output "artifacts_url" {
  description = "Where the artifacts are: `MLFLOW_ARTIFACTS_DESTINATION`."
  value       = "abfss://${azurerm_storage_container.this.name}@${var.lake.account}.dfs.core.windows.net/artifacts"
}
