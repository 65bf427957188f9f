# The platform on Azure: what every project shares. The services on it (MLflow, Redis, Prometheus) are in k8s/.

locals {
  # Storage accounts and registries take no hyphens.
  solid = replace(var.name, "-", "")

  common = {
    resource_group_name = azurerm_resource_group.this.name
    location            = azurerm_resource_group.this.location
    tags                = { platform = var.name, managed-by = "terraform" }
  }
}

resource "azurerm_resource_group" "this" {
  name     = var.name
  location = var.location
  tags     = { platform = var.name, managed-by = "terraform" }
}

module "network" {
  source = "../../modules/azure/network"

  name                = var.name
  resource_group_name = local.common.resource_group_name
  location            = local.common.location
  tags                = local.common.tags
}

module "registry" {
  source = "../../modules/azure/registry"

  name                 = local.solid
  resource_group_name  = local.common.resource_group_name
  location             = local.common.location
  tags                 = local.common.tags
  endpoints_subnet_id  = module.network.endpoints_subnet_id
  private_dns_zone_ids = module.network.private_dns_zone_ids
}

module "lake" {
  source = "../../modules/azure/lake"

  name                 = "${local.solid}lake"
  resource_group_name  = local.common.resource_group_name
  location             = local.common.location
  tags                 = local.common.tags
  endpoints_subnet_id  = module.network.endpoints_subnet_id
  private_dns_zone_ids = module.network.private_dns_zone_ids
}

module "secrets" {
  source = "../../modules/azure/secrets"

  name                 = var.name
  resource_group_name  = local.common.resource_group_name
  location             = local.common.location
  tags                 = local.common.tags
  endpoints_subnet_id  = module.network.endpoints_subnet_id
  private_dns_zone_ids = module.network.private_dns_zone_ids
}

module "cluster" {
  source = "../../modules/azure/cluster"

  name                = var.name
  resource_group_name = local.common.resource_group_name
  location            = local.common.location
  tags                = local.common.tags
  nodes_subnet_id     = module.network.nodes_subnet_id
  registry_id         = module.registry.registry_id
  admin_group_ids     = var.admin_group_ids
}

module "database" {
  source = "../../modules/azure/database"

  name                   = var.name
  resource_group_name    = local.common.resource_group_name
  location               = local.common.location
  tags                   = local.common.tags
  database_subnet_id     = module.network.database_subnet_id
  private_dns_zone_ids   = module.network.private_dns_zone_ids
  administrator_password = var.administrator_password
}

# What gives MLflow's pods their artifacts. The overlay of k8s/ takes its outputs.
module "mlflow" {
  source = "../../modules/azure/mlflow"

  name                = var.name
  resource_group_name = local.common.resource_group_name
  location            = local.common.location
  tags                = local.common.tags
  lake                = { account = module.lake.account, account_id = module.lake.account_id }
  cluster             = { oidc_issuer = module.cluster.oidc_issuer }
}
