output "network_id" {
  description = "The network's id."
  value       = google_compute_network.this.id
  # A database finds no address before the networks are joined.
  depends_on = [google_service_networking_connection.this]
}

output "nodes_subnet_id" {
  description = "The subnet of the cluster's nodes, with ranges named pods and services."
  value       = google_compute_subnetwork.nodes.id
}
