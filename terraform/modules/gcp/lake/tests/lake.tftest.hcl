mock_provider "google" {}

variables {
  bucket = "contoso-mlops-lake"
  region = "europe-west1"
}

run "identities_only_and_nothing_is_lost" {
  command = plan

  assert {
    condition     = google_storage_bucket.this.uniform_bucket_level_access && google_storage_bucket.this.public_access_prevention == "enforced"
    error_message = "An object can be made public."
  }

  assert {
    condition     = google_storage_bucket.this.versioning[0].enabled && google_storage_bucket.this.soft_delete_policy[0].retention_duration_seconds == 2592000
    error_message = "What was deleted or overwritten cannot be had back."
  }

  assert {
    condition     = google_storage_bucket.this.force_destroy == null
    error_message = "One command would delete every project's data."
  }
}

run "a_bucket_by_its_address" {
  command = plan

  variables {
    bucket = "gs://lake"
  }

  expect_failures = [var.bucket]
}

run "a_zone_as_a_region" {
  command = plan

  variables {
    region = "europe-west1-b"
  }

  expect_failures = [var.region]
}

run "deleted_for_good" {
  command = plan

  variables {
    deleted_days = 1
  }

  expect_failures = [var.deleted_days]
}
