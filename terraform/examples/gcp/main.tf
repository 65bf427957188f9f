# The platform on Google Cloud: what every project shares. The services on it (MLflow, Redis, Prometheus) are in k8s/.

module "network" {
  source = "../../modules/gcp/network"

  name   = var.name
  region = var.region
}

module "registry" {
  source = "../../modules/gcp/registry"

  name       = var.name
  project_id = var.project_id
  region     = var.region
}

module "lake" {
  source = "../../modules/gcp/lake"

  bucket = "${var.project_id}-${var.name}-lake"
  region = var.region
}

module "secrets" {
  source = "../../modules/gcp/secrets"

  region = var.region

  secrets = {
    mlflow-database = "MLflow's password at the database"
    mlflow-auth     = "MLflow's administrator"
    redis           = "The password of the online store"
  }
}

module "cluster" {
  source = "../../modules/gcp/cluster"

  name            = var.name
  project_id      = var.project_id
  region          = var.region
  network_id      = module.network.network_id
  nodes_subnet_id = module.network.nodes_subnet_id
  registry_id     = module.registry.registry_id
  admin_cidrs     = var.admin_cidrs
  security_group  = var.security_group
}

module "database" {
  source = "../../modules/gcp/database"

  name                   = var.name
  region                 = var.region
  network_id             = module.network.network_id
  administrator_password = var.administrator_password
}

# What gives MLflow's pods their artifacts. The overlay of k8s/ takes its outputs.
module "mlflow" {
  source = "../../modules/gcp/mlflow"

  name    = var.name
  lake    = { bucket = module.lake.bucket }
  cluster = { workload_pool = module.cluster.workload_pool }
}
