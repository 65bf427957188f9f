mock_provider "azurerm" {
  mock_resource "azurerm_user_assigned_identity" {
    defaults = { client_id = "client", principal_id = "principal" }
  }
}

variables {
  project             = "flight-delays"
  environment         = "staging"
  lake                = { account = "contosolake", account_id = "/subscriptions/0/resourceGroups/group/providers/Microsoft.Storage/storageAccounts/contosolake" }
  cluster             = { oidc_issuer = "https://westeurope.oic.prod-aks.azure.com/tenant/cluster/" }
  vault_id            = "/subscriptions/0/resourceGroups/group/providers/Microsoft.KeyVault/vaults/contoso"
  image_registry      = "contoso.azurecr.io"
  resource_group_name = "group"
  location            = "westeurope"
}

run "staging" {
  assert {
    condition     = azurerm_federated_identity_credential.this.subject == "system:serviceaccount:flight-delays-staging:flight-delays"
    error_message = "Another service account than the one of k8s/overlays/staging would be believed."
  }

  assert {
    condition     = azurerm_storage_container.this.container_access_type == "private"
    error_message = "The container is read without an identity."
  }

  assert {
    condition     = azurerm_role_assignment.data.scope == azurerm_storage_container.this.id && azurerm_role_assignment.data.principal_id == "principal"
    error_message = "The identity reaches more than its container, or another identity reaches it."
  }

  assert {
    condition     = azurerm_role_assignment.secret.scope == azurerm_key_vault_secret.this.resource_versionless_id && azurerm_role_assignment.secret.role_definition_name == "Key Vault Secrets User"
    error_message = "The identity reads more than its secret, or may change it."
  }

  assert {
    condition     = azurerm_key_vault_secret.this.value == null
    error_message = "The secret's value would be in the state."
  }

  assert {
    condition     = output.service_account_annotations == { "azure.workload.identity/client-id" = "client" } && output.secret_name == "flight-delays-staging"
    error_message = "The overlay would get another identity or secret."
  }

  assert {
    condition     = output.data_url == "abfss://flight-delays-staging@contosolake.dfs.core.windows.net" && output.image_registry == "contoso.azurecr.io"
    error_message = "The overlay would get another address of data or images."
  }
}

run "production" {
  command = plan

  variables {
    environment = "production"
  }

  assert {
    condition     = azurerm_federated_identity_credential.this.subject == "system:serviceaccount:flight-delays:flight-delays"
    error_message = "Another service account than the one of k8s/overlays/production would be believed."
  }
}

run "a_name_of_two_words" {
  command = plan

  variables {
    project = "Flight Delays"
  }

  expect_failures = [var.project]
}

run "another_environment" {
  command = plan

  variables {
    environment = "local"
  }

  expect_failures = [var.environment]
}

run "a_region_as_people_write_it" {
  command = plan

  variables {
    location = "West Europe"
  }

  expect_failures = [var.location]
}

run "a_lake_by_its_address" {
  command = plan

  variables {
    lake = { account = "https://contosolake", account_id = "/subscriptions/0/resourceGroups/group/providers/Microsoft.Storage/storageAccounts/contosolake" }
  }

  expect_failures = [var.lake]
}

run "a_lake_by_its_name" {
  command = plan

  variables {
    lake = { account = "contosolake", account_id = "contosolake" }
  }

  expect_failures = [var.lake]
}

run "an_issuer_without_tls" {
  command = plan

  variables {
    cluster = { oidc_issuer = "http://issuer" }
  }

  expect_failures = [var.cluster]
}

run "a_vault_by_its_name" {
  command = plan

  variables {
    vault_id = "contoso"
  }

  expect_failures = [var.vault_id]
}

run "a_registry_by_its_name" {
  command = plan

  variables {
    image_registry = "contoso"
  }

  expect_failures = [var.image_registry]
}
