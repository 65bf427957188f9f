# The platform of one environment, and the workload of one project on it. A project has its workload in a root of its
# own, generated with it; here it shows that the parts fit. README.md says what it costs.

locals {
  name = "ml-${var.environment}"
}

module "secrets" {
  source = "../../modules/aws/secrets"

  name = local.name
}

module "network" {
  source = "../../modules/aws/network"

  name               = local.name
  availability_zones = [for zone in ["a", "b"] : "${var.region}${zone}"]
  kms_key_arn        = module.secrets.key_arn
}

module "lake" {
  source = "../../modules/aws/lake"

  name          = local.name
  force_destroy = var.sandbox
}

module "cluster" {
  source = "../../modules/aws/cluster"

  name                = local.name
  vpc_id              = module.network.vpc_id
  subnet_ids          = module.network.subnet_ids
  admin_role_arns     = var.admin_role_arns
  public_access_cidrs = var.public_access_cidrs
  kms_key_arn         = module.secrets.key_arn
}

module "database" {
  source = "../../modules/aws/database"

  name                     = local.name
  vpc_id                   = module.network.vpc_id
  subnet_ids               = module.network.subnet_ids
  client_security_group_id = module.cluster.security_group_id
  multi_az                 = var.environment == "production"
  deletion_protection      = !var.sandbox
  kms_key_arn              = module.secrets.key_arn
}

module "cache" {
  source = "../../modules/aws/cache"

  name                     = local.name
  vpc_id                   = module.network.vpc_id
  subnet_ids               = module.network.subnet_ids
  client_security_group_id = module.cluster.security_group_id
  auth_token               = var.cache_auth_token
  kms_key_arn              = module.secrets.key_arn
}

module "alarms" {
  source = "../../modules/aws/alarms"

  name        = local.name
  emails      = var.alarm_emails
  alarms      = merge(module.database.alarms, module.cache.alarms)
  kms_key_arn = module.secrets.key_arn
}

# The images of MLflow and the rest of the platform: the network has no way out to get them elsewhere.
module "registry" {
  source = "../../modules/aws/registry"

  prefix       = local.name
  repositories = ["mlflow", "prometheus", "alertmanager", "pushgateway", "grafana"]
  kms_key_arn  = module.secrets.key_arn
  force_delete = var.sandbox
}

# What gives MLflow's pods their artifacts. k8s/overlays/cloud takes its outputs.
module "mlflow" {
  source = "../../modules/aws/mlflow"

  name    = local.name
  lake    = { bucket = module.lake.bucket, key_arn = module.lake.key_arn }
  cluster = { oidc_provider_arn = module.cluster.oidc_provider_arn, oidc_issuer = module.cluster.oidc_issuer }
}

module "flight_delays" {
  source = "../../modules/aws/workload"

  project      = "flight-delays"
  environment  = var.environment
  lake         = { bucket = module.lake.bucket, key_arn = module.lake.key_arn }
  cluster      = { oidc_provider_arn = module.cluster.oidc_provider_arn, oidc_issuer = module.cluster.oidc_issuer }
  alarm_emails = var.alarm_emails
  tables       = jsondecode(file("${path.module}/tables.json")) # made by `flight-delays features list --json`
  streams      = ["predictions"]                                # `predictions ship` publishes to it
  sandbox      = var.sandbox
}
