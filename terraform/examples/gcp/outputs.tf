# What a project's terraform/environments/*.tfvars asks for, in its names.

output "project_id" {
  description = "The Google Cloud project."
  value       = var.project_id
}

output "region" {
  description = "The region."
  value       = var.region
}

output "lake" {
  description = "What a project's workload needs to know of the lake."
  value       = { bucket = module.lake.bucket }
}

output "cluster" {
  description = "What a project's workload needs to know of the cluster."
  value       = { workload_pool = module.cluster.workload_pool }
}

output "image_registry" {
  description = "What stands before the names of the images."
  value       = module.registry.image_registry
}

# What people and the platform's own services need.

output "cluster_name" {
  description = "For `gcloud container clusters get-credentials`."
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
