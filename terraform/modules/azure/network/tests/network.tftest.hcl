mock_provider "azurerm" {}

variables {
  name                = "contoso-mlops"
  resource_group_name = "group"
  location            = "westeurope"
}

run "each_part_has_its_own_addresses" {
  command = plan

  assert {
    condition     = azurerm_subnet.nodes.address_prefixes[0] == "10.20.0.0/20" && azurerm_subnet.endpoints.address_prefixes[0] == "10.20.16.0/24" && azurerm_subnet.database.address_prefixes[0] == "10.20.17.0/24"
    error_message = "The subnets overlap or moved: a subnet that moves is replaced with all that is in it."
  }

  assert {
    condition     = keys(azurerm_subnet_network_security_group_association.this) == ["database", "endpoints", "nodes"]
    error_message = "A subnet has no security group."
  }

  assert {
    condition     = keys(azurerm_private_dns_zone_virtual_network_link.this) == keys(azurerm_private_dns_zone.this)
    error_message = "A private DNS zone is not linked to the network, so that its names resolve to public addresses."
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

run "a_small_network" {
  command = plan

  variables {
    address_space = "10.20.0.0/24"
  }

  expect_failures = [var.address_space]
}
