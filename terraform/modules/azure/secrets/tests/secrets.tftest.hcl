mock_provider "azurerm" {}

variables {
  name                 = "contoso-mlops"
  endpoints_subnet_id  = "subnet"
  private_dns_zone_ids = { blob = "b", dfs = "d", registry = "r", vault = "v", database = "p" }
  resource_group_name  = "group"
  location             = "westeurope"
}

run "roles_say_who_reads_and_nothing_is_lost" {
  command = plan

  assert {
    condition     = azurerm_key_vault.this.rbac_authorization_enabled && !azurerm_key_vault.this.public_network_access_enabled && azurerm_key_vault.this.network_acls[0].default_action == "Deny"
    error_message = "The vault is reached from outside the network, or read without a role."
  }

  assert {
    condition     = azurerm_key_vault.this.purge_protection_enabled && azurerm_key_vault.this.soft_delete_retention_days == 90
    error_message = "A deleted secret cannot be had back."
  }
}

run "a_name_in_capitals" {
  command = plan

  variables {
    name = "Contoso"
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

run "zones_of_another_module" {
  command = plan

  variables {
    private_dns_zone_ids = { blob = "b" }
  }

  expect_failures = [var.private_dns_zone_ids]
}
