mock_provider "azurerm" {}

variables {
  name                 = "contosomlops"
  endpoints_subnet_id  = "subnet"
  private_dns_zone_ids = { blob = "b", dfs = "d", registry = "r", vault = "v", database = "p" }
  resource_group_name  = "group"
  location             = "westeurope"
}

run "nobody_pulls_from_outside_or_without_an_identity" {
  command = plan

  assert {
    condition     = !azurerm_container_registry.this.admin_enabled && !azurerm_container_registry.this.anonymous_pull_enabled
    error_message = "The registry takes a password or none."
  }

  assert {
    condition     = !azurerm_container_registry.this.public_network_access_enabled && !azurerm_container_registry.this.export_policy_enabled && azurerm_private_endpoint.this.private_dns_zone_group[0].private_dns_zone_ids[0] == "r"
    error_message = "The registry is reached from outside the network, or not from inside."
  }
}

run "a_name_with_hyphens" {
  command = plan

  variables {
    name = "contoso-mlops"
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
