output "cluster" {
  description = "What a project's workload needs to know of the cluster."
  value       = { oidc_provider_arn = module.cluster.oidc_provider_arn, oidc_issuer = module.cluster.oidc_issuer }
}

output "lake" {
  description = "What a project's workload needs to know of the lake."
  value       = { bucket = module.lake.bucket, key_arn = module.lake.key_arn }
}

output "network" {
  description = "What a project's SageMaker endpoint needs to know of the network."
  value = {
    vpc_id                  = module.network.vpc_id
    subnet_ids              = module.network.subnet_ids
    cache_security_group_id = module.cache.security_group_id
  }
}

output "mlflow" {
  description = "What k8s/overlays/cloud needs to know of MLflow's identity and artifacts."
  value = {
    service_account_annotations = module.mlflow.service_account_annotations
    artifacts_url               = module.mlflow.artifacts_url
  }
}

output "cluster_name" {
  description = "For `aws eks update-kubeconfig --name`."
  value       = module.cluster.name
}

output "file_system_id" {
  description = "For the storage class of the volume `state`."
  value       = module.cluster.file_system_id
}

output "image_registry" {
  description = "What stands before the names of the platform's images."
  value       = module.registry.image_registry
}

output "database_endpoint" {
  description = "HOST:PORT of MLflow's PostgreSQL."
  value       = module.database.endpoint
}

output "database_secret_arn" {
  description = "The secret with its user and password."
  value       = module.database.secret_arn
}

output "cache_endpoint" {
  description = "HOST:PORT of Redis."
  value       = module.cache.endpoint
}

output "flight_delays" {
  description = "What the workload's module hands to the project."
  value = {
    service_account_annotations = module.flight_delays.service_account_annotations
    image_registry              = module.flight_delays.image_registry
    data_url                    = module.flight_delays.data_url
    secret_name                 = module.flight_delays.secret_name
    database                    = module.flight_delays.database
    stream_names                = module.flight_delays.stream_names
  }
}
