mock_provider "azurerm" {
  mock_resource "azurerm_user_assigned_identity" {
    defaults = { client_id = "client", principal_id = "principal" }
  }
}

variables {
  name                = "contoso-mlops"
  lake                = { account = "contosolake", account_id = "/subscriptions/0/resourceGroups/group/providers/Microsoft.Storage/storageAccounts/contosolake" }
  cluster             = { oidc_issuer = "https://westeurope.oic.prod-aks.azure.com/tenant/cluster/" }
  resource_group_name = "group"
  location            = "westeurope"
}

run "makes" {
  assert {
    condition     = azurerm_federated_identity_credential.this.subject == "system:serviceaccount:platform:mlflow"
    error_message = "Another service account than MLflow's would be believed."
  }

  assert {
    condition     = azurerm_storage_container.this.container_access_type == "private"
    error_message = "The container is read without an identity."
  }

  assert {
    condition     = azurerm_role_assignment.this.scope == azurerm_storage_container.this.id && azurerm_role_assignment.this.principal_id == "principal"
    error_message = "The identity reaches more than the artifacts, or another identity reaches them."
  }

  assert {
    condition     = output.service_account_annotations == { "azure.workload.identity/client-id" = "client" } && output.artifacts_url == "abfss://mlflow@contosolake.dfs.core.windows.net/artifacts"
    error_message = "The overlay would get another identity or another place."
  }
}

run "a_name_of_two_words" {
  command = plan

  variables {
    name = "Contoso MLOps"
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
