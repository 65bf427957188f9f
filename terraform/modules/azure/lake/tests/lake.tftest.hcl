mock_provider "azurerm" {}

variables {
  name                 = "contosomlopslake"
  endpoints_subnet_id  = "subnet"
  private_dns_zone_ids = { blob = "b", dfs = "d", registry = "r", vault = "v", database = "p" }
  resource_group_name  = "group"
  location             = "westeurope"
}

run "identities_only_over_tls_from_inside" {
  command = plan

  assert {
    condition     = !azurerm_storage_account.this.shared_access_key_enabled && !azurerm_storage_account.this.local_user_enabled
    error_message = "The account takes keys or passwords, which roles do not bound."
  }

  assert {
    condition     = azurerm_storage_account.this.https_traffic_only_enabled && azurerm_storage_account.this.min_tls_version == "TLS1_2"
    error_message = "Data travels without TLS, or with an old version of it."
  }

  assert {
    condition     = !azurerm_storage_account.this.public_network_access_enabled && !azurerm_storage_account.this.allow_nested_items_to_be_public
    error_message = "The account is reached from outside the network, or a container can be made public."
  }

  assert {
    condition     = !azurerm_storage_account.this.cross_tenant_replication_enabled && azurerm_storage_account.this.default_to_oauth_authentication
    error_message = "Data is copied to another company's account, or a key is asked for first."
  }

  assert {
    condition     = azurerm_storage_account.this.infrastructure_encryption_enabled && azurerm_storage_account.this.is_hns_enabled
    error_message = "The second layer of encryption or the real folders are gone; both can only be chosen at the start."
  }

  assert {
    condition     = azurerm_storage_account.this.blob_properties[0].delete_retention_policy[0].days == 30
    error_message = "What was deleted cannot be had back."
  }

  assert {
    condition     = keys(azurerm_private_endpoint.this) == ["blob", "dfs"]
    error_message = "One of the account's two interfaces has no address in the network."
  }
}

run "a_name_with_hyphens" {
  command = plan

  variables {
    name = "contoso-lake"
  }

  expect_failures = [var.name]
}

run "a_region_as_people_write_it" {
  command = plan

  variables {
    location = "West Europe"
  }

  expect_failures = [var.location]
}

run "zones_without_dfs" {
  command = plan

  variables {
    private_dns_zone_ids = { blob = "b" }
  }

  expect_failures = [var.private_dns_zone_ids]
}

run "deleted_for_good" {
  command = plan

  variables {
    deleted_days = 1
  }

  expect_failures = [var.deleted_days]
}
