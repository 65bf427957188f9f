# What a project's terraform/environments/*.tfvars asks for, in its names.

output "resource_group_name" {
  description = "The resource group of the platform, and of what projects add."
  value       = azurerm_resource_group.this.name
}

output "location" {
  description = "The region."
  value       = azurerm_resource_group.this.location
}

output "lake" {
  description = "What a project's workload needs to know of the lake."
  value       = { account = module.lake.account, account_id = module.lake.account_id }
}

output "cluster" {
  description = "What a project's workload needs to know of the cluster."
  value       = { oidc_issuer = module.cluster.oidc_issuer }
}

output "vault_id" {
  description = "Where a project's secret goes."
  value       = module.secrets.vault_id
}

output "image_registry" {
  description = "What stands before the names of the images."
  value       = module.registry.image_registry
}

# What people and the platform's own services need.

output "cluster_name" {
  description = "For `az aks get-credentials --name`."
  value       = module.cluster.name
}

output "database_endpoint" {
  description = "HOST:PORT of MLflow's PostgreSQL."
  value       = module.database.endpoint
}

output "mlflow" {
  description = "What the overlay of k8s/ needs to know of MLflow's identity and artifacts."
  value = {
    service_account_annotations = module.mlflow.service_account_annotations
    artifacts_url               = module.mlflow.artifacts_url
  }
}
