# What the platform's root prints for production: `terraform output` there. These are examples; replace them.
environment    = "production"
project_id     = "contoso-platform"
region         = "europe-west1"
image_registry = "europe-west1-docker.pkg.dev/contoso-platform/contoso-mlops"

lake = {
  bucket = "contoso-platform-contoso-mlops-lake"
}

cluster = {
  workload_pool = "contoso-platform.svc.id.goog"
}
