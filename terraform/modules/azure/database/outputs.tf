output "endpoint" {
  description = "HOST:PORT inside the network; it takes TLS only."
  value       = "${azurerm_postgresql_flexible_server.this.fqdn}:5432"
}

output "database" {
  description = "The database of MLflow."
  value       = azurerm_postgresql_flexible_server_database.this.name
}

output "user" {
  description = "The administrator's name."
  value       = azurerm_postgresql_flexible_server.this.administrator_login
}
