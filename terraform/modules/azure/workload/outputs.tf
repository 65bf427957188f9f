# The same names on every cloud: `make cloud` writes them into k8s/overlays/<environment>/cloud.

output "service_account_annotations" {
  description = "What the project's service account carries, so that its pods act in the identity."
  value       = { "azure.workload.identity/client-id" = azurerm_user_assigned_identity.this.client_id }
}

output "image_registry" {
  description = "What stands before `<project>/serve` when an image is pushed or pulled."
  value       = var.image_registry
}

output "data_url" {
  description = "Where the project's data is, without a slash at the end."
  value       = "abfss://${azurerm_storage_container.this.name}@${var.lake.account}.dfs.core.windows.net"
}

output "secret_name" {
  description = "The secret that holds the project's secret settings, a JSON object."
  value       = azurerm_key_vault_secret.this.name
}
