output "account_id" {
  description = "The storage account's id."
  value       = azurerm_storage_account.this.id
}

output "account" {
  description = "The storage account's name."
  value       = azurerm_storage_account.this.name
}
