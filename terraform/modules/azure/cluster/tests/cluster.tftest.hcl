mock_provider "azurerm" {}

variables {
  name                = "contoso-mlops"
  nodes_subnet_id     = "subnet"
  registry_id         = "registry"
  admin_group_ids     = ["8e3af657-a8ff-443c-a75c-2fe8c4bcb635"]
  resource_group_name = "group"
  location            = "westeurope"
}

run "private_with_identities_for_people_and_pods" {
  assert {
    condition     = azurerm_kubernetes_cluster.this.private_cluster_enabled && !azurerm_kubernetes_cluster.this.default_node_pool[0].node_public_ip_enabled
    error_message = "The API or a node has a public address."
  }

  assert {
    condition     = !azurerm_kubernetes_cluster.this.private_cluster_public_fqdn_enabled && !azurerm_kubernetes_cluster.this.run_command_enabled
    error_message = "The API has a public name, or takes commands past its private address."
  }

  assert {
    condition     = azurerm_kubernetes_cluster.this.default_node_pool[0].host_encryption_enabled && azurerm_kubernetes_cluster.this.role_based_access_control_enabled
    error_message = "What a node keeps is not encrypted, or whoever signs in may do everything."
  }

  assert {
    condition     = azurerm_kubernetes_cluster.this.local_account_disabled && azurerm_kubernetes_cluster.this.azure_active_directory_role_based_access_control[0].azure_rbac_enabled
    error_message = "Somebody administers the cluster without being known to Entra."
  }

  assert {
    condition     = azurerm_kubernetes_cluster.this.oidc_issuer_enabled && azurerm_kubernetes_cluster.this.workload_identity_enabled
    error_message = "Pods have no identities of their own."
  }

  assert {
    condition     = azurerm_kubernetes_cluster.this.network_profile[0].network_policy == "cilium"
    error_message = "Nothing enforces network policies."
  }

  assert {
    condition     = azurerm_role_assignment.pull.role_definition_name == "AcrPull" && azurerm_role_assignment.pull.scope == "registry"
    error_message = "The nodes cannot pull, or may do more than that."
  }

  assert {
    condition     = contains([for log in azurerm_monitor_diagnostic_setting.this.enabled_log : log.category], "kube-audit-admin")
    error_message = "Nobody would know who changed the cluster."
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

run "a_patch_of_kubernetes" {
  command = plan

  variables {
    kubernetes_version = "1.35.2"
  }

  expect_failures = [var.kubernetes_version]
}

run "nobody_administers" {
  command = plan

  variables {
    admin_group_ids = []
  }

  expect_failures = [var.admin_group_ids]
}

run "a_zone_without_a_node" {
  command = plan

  variables {
    node_count = { min = 1, max = 6 }
  }

  expect_failures = [var.node_count]
}
