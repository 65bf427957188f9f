output "name" {
  description = "The cluster's name, for gcloud container clusters get-credentials."
  value       = google_container_cluster.this.name
}

output "workload_pool" {
  description = "Who vouches for ServiceAccounts, for the workload module."
  value       = google_container_cluster.this.workload_identity_config[0].workload_pool
}
