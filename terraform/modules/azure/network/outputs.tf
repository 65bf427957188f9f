output "network_id" {
  description = "The virtual network's id."
  value       = azurerm_virtual_network.this.id
}

output "nodes_subnet_id" {
  description = "The subnet of the cluster's nodes."
  value       = azurerm_subnet.nodes.id
}

output "endpoints_subnet_id" {
  description = "The subnet of the private endpoints."
  value       = azurerm_subnet.endpoints.id
}

output "database_subnet_id" {
  description = "The subnet that PostgreSQL has to itself."
  value       = azurerm_subnet.database.id
}

output "private_dns_zone_ids" {
  description = "The private DNS zone of each kind: blob, dfs, registry, vault, database."
  value       = { for kind, zone in azurerm_private_dns_zone.this : kind => zone.id }
  # A name resolves inside the network only when the zone is linked to it.
  depends_on = [azurerm_private_dns_zone_virtual_network_link.this]
}
