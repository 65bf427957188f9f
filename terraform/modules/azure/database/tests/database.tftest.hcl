mock_provider "azurerm" {}

variables {
  name                   = "contoso-mlops"
  database_subnet_id     = "subnet"
  private_dns_zone_ids   = { blob = "b", dfs = "d", registry = "r", vault = "v", database = "p" }
  administrator_password = "a-password-of-a-test-only"
  resource_group_name    = "group"
  location               = "westeurope"
}

run "private_kept_and_with_a_standby" {
  command = plan

  assert {
    condition     = !azurerm_postgresql_flexible_server.this.public_network_access_enabled && azurerm_postgresql_flexible_server.this.delegated_subnet_id == "subnet"
    error_message = "The database is reached from outside the network."
  }

  assert {
    condition     = azurerm_postgresql_flexible_server_configuration.this["require_secure_transport"].value == "on"
    error_message = "The database takes connections without TLS."
  }

  assert {
    condition     = azurerm_postgresql_flexible_server.this.backup_retention_days == 14 && azurerm_postgresql_flexible_server.this.geo_redundant_backup_enabled
    error_message = "A lost region loses the registry."
  }

  assert {
    condition     = azurerm_postgresql_flexible_server.this.high_availability[0].mode == "ZoneRedundant" && azurerm_management_lock.this.lock_level == "CanNotDelete"
    error_message = "A lost zone or one command loses the registry."
  }

  assert {
    condition     = azurerm_postgresql_flexible_server.this.administrator_password == null
    error_message = "The password would be in the state."
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

run "a_short_password" {
  command = plan

  variables {
    administrator_password = "short"
  }

  expect_failures = [var.administrator_password]
}

run "a_size_without_a_standby" {
  command = plan

  variables {
    sku_name = "B_Standard_B1ms"
  }

  expect_failures = [var.sku_name]
}

run "no_backups" {
  command = plan

  variables {
    backup_days = 0
  }

  expect_failures = [var.backup_days]
}
