# The object store: raw tables, features, bundles and prediction logs of every project, a managed folder for each.

resource "google_storage_bucket" "this" {
  #checkov:skip=CKV_GCP_62:reads are in Cloud Audit Logs where an audit asks for them, and not in a second bucket
  name          = var.bucket
  location      = var.region
  storage_class = "STANDARD"

  # Identities and their roles only; no list of public readers can be added to an object.
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  versioning {
    enabled = true
  }

  soft_delete_policy {
    retention_duration_seconds = var.deleted_days * 86400
  }

  # An overwritten partition is kept for a while, not for ever.
  lifecycle_rule {
    action {
      type = "Delete"
    }

    condition {
      days_since_noncurrent_time = var.deleted_days
    }
  }

  # Partitions are read often for some weeks, and hardly ever after.
  lifecycle_rule {
    action {
      type          = "SetStorageClass"
      storage_class = "NEARLINE"
    }

    condition {
      age = 90
    }
  }
}
