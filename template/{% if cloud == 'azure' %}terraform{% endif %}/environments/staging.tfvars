# What the platform's root prints for staging: `terraform output` there. These are examples; replace them.
environment         = "staging"
subscription_id     = "00000000-0000-0000-0000-000000000000"
resource_group_name = "contoso-mlops"
location            = "westeurope"
vault_id            = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/contoso-mlops/providers/Microsoft.KeyVault/vaults/contoso-mlops"
image_registry      = "contosomlops.azurecr.io"

lake = {
  account    = "contosomlopslake"
  account_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/contoso-mlops/providers/Microsoft.Storage/storageAccounts/contosomlopslake"
}

cluster = {
  oidc_issuer = "https://westeurope.oic.prod-aks.azure.com/00000000-0000-0000-0000-000000000000/00000000-0000-0000-0000-000000000000/"
}
