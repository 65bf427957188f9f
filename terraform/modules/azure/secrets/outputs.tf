output "vault_id" {
  description = "The vault's id, for the workload module."
  value       = azurerm_key_vault.this.id
}

output "vault_url" {
  description = "The vault's address."
  value       = azurerm_key_vault.this.vault_uri
}
