# The cluster. Its API has a private address, people sign in through Entra, pods through workload identity.

data "azurerm_client_config" "this" {}

# Two identities: the control plane's, which makes nodes and load balancers, and the nodes', which pull images.
resource "azurerm_user_assigned_identity" "this" {
  for_each = toset(["control-plane", "nodes"])

  name                = "${var.name}-${each.key}"
  resource_group_name = var.resource_group_name
  location            = var.location
  tags                = var.tags
}

resource "azurerm_role_assignment" "network" {
  scope                = var.nodes_subnet_id
  role_definition_name = "Network Contributor"
  principal_id         = azurerm_user_assigned_identity.this["control-plane"].principal_id
  principal_type       = "ServicePrincipal"
}

# The control plane gives the nodes their identity.
resource "azurerm_role_assignment" "nodes" {
  scope                = azurerm_user_assigned_identity.this["nodes"].id
  role_definition_name = "Managed Identity Operator"
  principal_id         = azurerm_user_assigned_identity.this["control-plane"].principal_id
  principal_type       = "ServicePrincipal"
}

resource "azurerm_role_assignment" "pull" {
  scope                = var.registry_id
  role_definition_name = "AcrPull"
  principal_id         = azurerm_user_assigned_identity.this["nodes"].principal_id
  principal_type       = "ServicePrincipal"
}

resource "azurerm_log_analytics_workspace" "this" {
  name                = var.name
  resource_group_name = var.resource_group_name
  location            = var.location
  sku                 = "PerGB2018"
  retention_in_days   = 90
  tags                = var.tags
}

resource "azurerm_kubernetes_cluster" "this" {
  #checkov:skip=CKV_AZURE_117:disks are encrypted with Microsoft's keys, and their caches on the host
  #checkov:skip=CKV_AZURE_6:the API has no public address, so that there are no ranges to allow
  #checkov:skip=CKV_AZURE_232:one pool is enough for a few models; a system pool of its own is the next step of a growing platform
  name                = var.name
  resource_group_name = var.resource_group_name
  location            = var.location
  dns_prefix          = var.name
  kubernetes_version  = var.kubernetes_version
  sku_tier            = "Standard"
  tags                = var.tags

  private_cluster_enabled             = true
  private_cluster_public_fqdn_enabled = false
  local_account_disabled              = true
  role_based_access_control_enabled   = true
  run_command_enabled                 = false

  # A ServiceAccount becomes an identity of Azure: see the workload module.
  oidc_issuer_enabled       = true
  workload_identity_enabled = true

  azure_policy_enabled      = true
  automatic_upgrade_channel = "patch"
  node_os_upgrade_channel   = "NodeImage"

  azure_active_directory_role_based_access_control {
    tenant_id              = data.azurerm_client_config.this.tenant_id
    azure_rbac_enabled     = true
    admin_group_object_ids = var.admin_group_ids
  }

  identity {
    type         = "UserAssigned"
    identity_ids = [azurerm_user_assigned_identity.this["control-plane"].id]
  }

  kubelet_identity {
    client_id                 = azurerm_user_assigned_identity.this["nodes"].client_id
    object_id                 = azurerm_user_assigned_identity.this["nodes"].principal_id
    user_assigned_identity_id = azurerm_user_assigned_identity.this["nodes"].id
  }

  default_node_pool {
    name                        = "nodes"
    temporary_name_for_rotation = "rotating"
    vm_size                     = var.node_size
    vnet_subnet_id              = var.nodes_subnet_id
    zones                       = ["1", "2", "3"]
    auto_scaling_enabled        = true
    min_count                   = var.node_count.min
    max_count                   = var.node_count.max
    max_pods                    = 50
    os_sku                      = "AzureLinux"
    os_disk_type                = "Ephemeral"
    host_encryption_enabled     = true
    node_public_ip_enabled      = false
    tags                        = var.tags

    upgrade_settings {
      max_surge = "33%"
    }
  }

  # Cilium enforces the projects' network policies.
  network_profile {
    network_plugin      = "azure"
    network_plugin_mode = "overlay"
    network_data_plane  = "cilium"
    network_policy      = "cilium"
  }

  # Azure Files holds the volumes that several pods write to.
  storage_profile {
    file_driver_enabled = true
  }

  key_vault_secrets_provider {
    secret_rotation_enabled = true
  }

  oms_agent {
    log_analytics_workspace_id      = azurerm_log_analytics_workspace.this.id
    msi_auth_for_monitoring_enabled = true
  }

  depends_on = [azurerm_role_assignment.network, azurerm_role_assignment.nodes]
}

# Who did what to the cluster.
resource "azurerm_monitor_diagnostic_setting" "this" {
  name                       = "audit"
  target_resource_id         = azurerm_kubernetes_cluster.this.id
  log_analytics_workspace_id = azurerm_log_analytics_workspace.this.id

  enabled_log {
    category = "kube-audit-admin"
  }

  enabled_log {
    category = "guard"
  }
}
