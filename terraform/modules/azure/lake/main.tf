# The object store: raw tables, features, bundles and prediction logs of every project, a container for each.

resource "azurerm_storage_account" "this" {
  #checkov:skip=CKV_AZURE_206:three zones hold the data; a copy in a second region doubles the price, and raw data can be landed again
  #checkov:skip=CKV_AZURE_33:the account has no queues
  #checkov:skip=CKV2_AZURE_1:keys are Microsoft's, with a second layer of encryption; a key of one's own that is lost loses the lake
  #checkov:skip=CKV2_AZURE_21:reads are logged by a diagnostic setting on the account where an audit asks for it
  #checkov:skip=CKV2_AZURE_40:shared keys are off, so there is nothing to sign SAS tokens with
  #checkov:skip=CKV2_AZURE_41:shared keys are off, so there is nothing to sign SAS tokens with
  name                = var.name
  resource_group_name = var.resource_group_name
  location            = var.location
  tags                = var.tags

  account_kind             = "StorageV2"
  account_tier             = "Standard"
  account_replication_type = "ZRS"
  # Folders are real: a partition is renamed in one step, as the pipeline expects of a file system.
  is_hns_enabled = true

  # Identities only, over TLS, from inside the network.
  shared_access_key_enabled         = false
  local_user_enabled                = false
  default_to_oauth_authentication   = true
  min_tls_version                   = "TLS1_2"
  https_traffic_only_enabled        = true
  public_network_access_enabled     = false
  allow_nested_items_to_be_public   = false
  cross_tenant_replication_enabled  = false
  allowed_copy_scope                = "AAD"
  infrastructure_encryption_enabled = true

  blob_properties {
    delete_retention_policy {
      days = var.deleted_days
    }

    container_delete_retention_policy {
      days = var.deleted_days
    }
  }
}

# Partitions are read often for some weeks, and hardly ever after.
resource "azurerm_storage_management_policy" "this" {
  storage_account_id = azurerm_storage_account.this.id

  rule {
    name    = "cooler-with-age"
    enabled = true

    filters {
      blob_types = ["blockBlob"]
    }

    actions {
      base_blob {
        tier_to_cool_after_days_since_modification_greater_than = 90
      }
    }
  }
}

resource "azurerm_private_endpoint" "this" {
  for_each = toset(["blob", "dfs"])

  name                = "${var.name}-${each.key}"
  resource_group_name = var.resource_group_name
  location            = var.location
  subnet_id           = var.endpoints_subnet_id
  tags                = var.tags

  private_service_connection {
    name                           = each.key
    private_connection_resource_id = azurerm_storage_account.this.id
    subresource_names              = [each.key]
    is_manual_connection           = false
  }

  private_dns_zone_group {
    name                 = each.key
    private_dns_zone_ids = [var.private_dns_zone_ids[each.key]]
  }
}
