output "registry_id" {
  description = "The registry's id, for the role of the nodes that pull."
  value       = azurerm_container_registry.this.id
}

output "image_registry" {
  description = "What comes before <slug>/serve in an image's name."
  value       = azurerm_container_registry.this.login_server
}
