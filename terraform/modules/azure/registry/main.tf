# The images of every project. Nodes pull from it inside the network; nobody pulls without an identity.

resource "azurerm_container_registry" "this" {
  #checkov:skip=CKV_AZURE_163:scanning is Microsoft Defender for Containers, which is switched on for a subscription
  #checkov:skip=CKV_AZURE_164:content trust is deprecated by Microsoft; images are deployed by immutable tags of commits
  #checkov:skip=CKV_AZURE_165:one region; a registry that is away stops deployments, and no pod that runs
  #checkov:skip=CKV_AZURE_166:quarantine needs a scanner that releases images, and none is part of this platform
  name                          = var.name
  resource_group_name           = var.resource_group_name
  location                      = var.location
  sku                           = "Premium"
  admin_enabled                 = false
  anonymous_pull_enabled        = false
  public_network_access_enabled = false
  export_policy_enabled         = false
  data_endpoint_enabled         = true
  zone_redundancy_enabled       = true
  retention_policy_in_days      = 30
  tags                          = var.tags
}

resource "azurerm_private_endpoint" "this" {
  name                = "${var.name}-registry"
  resource_group_name = var.resource_group_name
  location            = var.location
  subnet_id           = var.endpoints_subnet_id
  tags                = var.tags

  private_service_connection {
    name                           = "registry"
    private_connection_resource_id = azurerm_container_registry.this.id
    subresource_names              = ["registry"]
    is_manual_connection           = false
  }

  private_dns_zone_group {
    name                 = "registry"
    private_dns_zone_ids = [var.private_dns_zone_ids["registry"]]
  }
}
