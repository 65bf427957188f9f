output "name" {
  description = "The cluster's name, for az aks get-credentials."
  value       = azurerm_kubernetes_cluster.this.name
}

output "oidc_issuer" {
  description = "Who signs the tokens of ServiceAccounts, for the workload module."
  value       = azurerm_kubernetes_cluster.this.oidc_issuer_url
}
