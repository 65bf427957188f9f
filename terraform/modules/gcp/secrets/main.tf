# The platform's own secrets, without values: a person or a pipeline adds those, and they are in no state. A project's
# secret is in its workload module.

resource "google_secret_manager_secret" "this" {
  for_each = var.secrets

  secret_id           = each.key
  annotations         = { purpose = each.value }
  deletion_protection = true

  # In one region, as the data is.
  replication {
    user_managed {
      replicas {
        location = var.region
      }
    }
  }
}
