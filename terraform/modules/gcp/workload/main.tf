# What one project gets in one environment: a folder of the lake, an identity for its service account, and a secret.
# Nothing here is shared with another project.

locals {
  name = "${var.project}-${var.environment}"

  # The names of k8s/overlays.
  namespace       = var.environment == "production" ? var.project : local.name
  service_account = var.project

  # Google takes 30 characters. A long name is cut, and told apart by its hash.
  account_id = length(local.name) <= 30 ? local.name : "${trimsuffix(substr(local.name, 0, 21), "-")}-${substr(sha256(local.name), 0, 8)}"
}

resource "google_storage_managed_folder" "this" {
  bucket        = var.lake.bucket
  name          = "${local.name}/"
  force_destroy = var.sandbox
}

# The identity that the project's pods act in: the cluster vouches for the service account, and Google believes it. No
# key is stored anywhere.

resource "google_service_account" "this" {
  account_id   = local.account_id
  display_name = "What the pods of ${var.project} in ${var.environment} may do"
}

resource "google_service_account_iam_member" "this" {
  service_account_id = google_service_account.this.name
  role               = "roles/iam.workloadIdentityUser"
  member             = "serviceAccount:${var.cluster.workload_pool}[${local.namespace}/${local.service_account}]"
}

resource "google_storage_managed_folder_iam_member" "this" {
  bucket         = var.lake.bucket
  managed_folder = google_storage_managed_folder.this.name
  role           = "roles/storage.objectUser"
  member         = google_service_account.this.member
}

# The secret is made here and filled by a person or a pipeline: its value is in no state.
resource "google_secret_manager_secret" "this" {
  secret_id           = local.name
  deletion_protection = !var.sandbox

  # In one region, as the data is.
  replication {
    user_managed {
      replicas {
        location = var.region
      }
    }
  }
}

resource "google_secret_manager_secret_iam_member" "this" {
  secret_id = google_secret_manager_secret.this.id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.this.member
}
