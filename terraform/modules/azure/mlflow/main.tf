# The registry's right to its artifacts: a container of the lake, and the identity of MLflow's pods, which has it and
# nothing else. MLflow hands the artifacts out itself (k8s/base/mlflow): projects have no key to them.

resource "azurerm_storage_container" "this" {
  #checkov:skip=CKV2_AZURE_21:reads are logged by a diagnostic setting on the account where an audit asks for it
  name                  = "mlflow"
  storage_account_id    = var.lake.account_id
  container_access_type = "private"
}

resource "azurerm_user_assigned_identity" "this" {
  name                = "${var.name}-mlflow"
  resource_group_name = var.resource_group_name
  location            = var.location
  tags                = var.tags
}

resource "azurerm_federated_identity_credential" "this" {
  name                = "mlflow"
  resource_group_name = var.resource_group_name
  parent_id           = azurerm_user_assigned_identity.this.id
  audience            = ["api://AzureADTokenExchange"]
  issuer              = var.cluster.oidc_issuer
  subject             = "system:serviceaccount:platform:mlflow" # as in k8s/base/mlflow
}

resource "azurerm_role_assignment" "this" {
  scope                = azurerm_storage_container.this.id
  role_definition_name = "Storage Blob Data Contributor"
  principal_id         = azurerm_user_assigned_identity.this.principal_id
  principal_type       = "ServicePrincipal"
}
