mock_provider "google" {}

variables {
  region  = "europe-west1"
  secrets = { redis = "The password of the online store" }
}

run "in_one_region_and_kept" {
  command = plan

  assert {
    condition     = google_secret_manager_secret.this["redis"].replication[0].user_managed[0].replicas[0].location == "europe-west1" && google_secret_manager_secret.this["redis"].deletion_protection
    error_message = "The secret leaves the region, or one command would delete it."
  }
}

run "a_zone_as_a_region" {
  command = plan

  variables {
    region = "europe-west1-b"
  }

  expect_failures = [var.region]
}

run "no_secret" {
  command = plan

  variables {
    secrets = {}
  }

  expect_failures = [var.secrets]
}
