# The images of every project. A tag that was pushed stays what it is.

resource "google_artifact_registry_repository" "this" {
  #checkov:skip=CKV_GCP_84:encrypted with Google's keys; images hold no data and no secret
  repository_id = var.name
  project       = var.project_id
  location      = var.region
  format        = "DOCKER"
  description   = "The images of the projects"

  docker_config {
    immutable_tags = true
  }

  vulnerability_scanning_config {
    enablement_config = "INHERITED"
  }

  # What was never tagged, or lost its tag, is a leftover of a push.
  cleanup_policies {
    id     = "untagged"
    action = "DELETE"

    condition {
      tag_state  = "UNTAGGED"
      older_than = "2592000s"
    }
  }
}
