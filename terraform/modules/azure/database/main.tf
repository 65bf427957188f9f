# PostgreSQL for the registry (MLflow) and for parameter studies. Which model is the champion is in here.

resource "azurerm_postgresql_flexible_server" "this" {
  #checkov:skip=CKV2_AZURE_57:it has a subnet of the network to itself, which is private without an endpoint
  name                = var.name
  resource_group_name = var.resource_group_name
  location            = var.location
  version             = "17"
  sku_name            = var.sku_name
  storage_mb          = 65536
  auto_grow_enabled   = true
  tags                = var.tags

  delegated_subnet_id           = var.database_subnet_id
  private_dns_zone_id           = var.private_dns_zone_ids["database"]
  public_network_access_enabled = false

  # Write-only: the password passes through and is in no state and no plan.
  administrator_login               = "platform"
  administrator_password_wo         = var.administrator_password
  administrator_password_wo_version = var.password_version

  backup_retention_days        = var.backup_days
  geo_redundant_backup_enabled = true

  high_availability {
    mode = "ZoneRedundant"
  }

  lifecycle {
    # Azure swaps the zones when the standby takes over.
    ignore_changes = [zone, high_availability[0].standby_availability_zone]
  }
}

resource "azurerm_postgresql_flexible_server_configuration" "this" {
  for_each = {
    require_secure_transport     = "on"
    log_checkpoints              = "on"
    log_connections              = "on"
    log_disconnections           = "on"
    "connection_throttle.enable" = "on"
  }

  name      = each.key
  value     = each.value
  server_id = azurerm_postgresql_flexible_server.this.id
}

resource "azurerm_postgresql_flexible_server_database" "this" {
  name      = "mlflow"
  server_id = azurerm_postgresql_flexible_server.this.id
  charset   = "UTF8"
  collation = "en_US.utf8"
}

# Deletion protection: the lock goes first, by hand.
resource "azurerm_management_lock" "this" {
  name       = "keep"
  scope      = azurerm_postgresql_flexible_server.this.id
  lock_level = "CanNotDelete"
  notes      = "The registry's database: which model is the champion is in here."
}
