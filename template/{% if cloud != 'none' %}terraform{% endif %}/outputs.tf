# What the project needs to know of its cloud. `make cloud` writes `overlay` into k8s/overlays/<environment>/cloud.

output "environment" {
  description = "The environment of this state."
  value       = var.environment
}

output "overlay" {
  description = "The kustomize component that takes the rest into the cluster."

  value = templatefile("${path.module}/overlay.yaml.tftpl", {
    project                     = local.project
    environment                 = var.environment
    image_registry              = module.workload.image_registry
    data_url                    = module.workload.data_url
    settings                    = local.settings
    service_account_annotations = module.workload.service_account_annotations
    pod_labels                  = local.pod_labels
  })
}

output "data_url" {
  description = "Where the project's data is, without a slash at the end."
  value       = module.workload.data_url
}

output "secret_name" {
  description = "The cloud's secret that holds the project's secret settings, a JSON object."
  value       = module.workload.secret_name
}
