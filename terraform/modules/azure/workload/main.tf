# What one project gets in one environment: a container of the lake, an identity for its service account, and a secret.
# Nothing here is shared with another project.

locals {
  name = "${var.project}-${var.environment}"

  # The names of k8s/overlays.
  namespace       = var.environment == "production" ? var.project : local.name
  service_account = var.project
}

resource "azurerm_storage_container" "this" {
  #checkov:skip=CKV2_AZURE_21:reads are logged by a diagnostic setting on the account where an audit asks for it
  name                  = local.name
  storage_account_id    = var.lake.account_id
  container_access_type = "private"
}

# The identity that the project's pods act in: the cluster vouches for the service account, and Entra believes it. No key
# is stored anywhere.

resource "azurerm_user_assigned_identity" "this" {
  name                = local.name
  resource_group_name = var.resource_group_name
  location            = var.location
  tags                = var.tags
}

resource "azurerm_federated_identity_credential" "this" {
  name                = local.name
  resource_group_name = var.resource_group_name
  parent_id           = azurerm_user_assigned_identity.this.id
  audience            = ["api://AzureADTokenExchange"]
  issuer              = var.cluster.oidc_issuer
  subject             = "system:serviceaccount:${local.namespace}:${local.service_account}"
}

resource "azurerm_role_assignment" "data" {
  scope                = azurerm_storage_container.this.id
  role_definition_name = "Storage Blob Data Contributor"
  principal_id         = azurerm_user_assigned_identity.this.principal_id
  principal_type       = "ServicePrincipal"
}

# The secret is made here and filled by a person or a pipeline: its value is in no state. A later value is a new version,
# which Terraform leaves alone.
resource "azurerm_key_vault_secret" "this" {
  #checkov:skip=CKV_AZURE_41:keys are rotated by their runbook; a secret that expires by itself stops the service
  name             = local.name
  key_vault_id     = var.vault_id
  content_type     = "application/json"
  value_wo         = "{}"
  value_wo_version = 1
  tags             = var.tags
}

resource "azurerm_role_assignment" "secret" {
  scope                = azurerm_key_vault_secret.this.resource_versionless_id
  role_definition_name = "Key Vault Secrets User"
  principal_id         = azurerm_user_assigned_identity.this.principal_id
  principal_type       = "ServicePrincipal"
}
