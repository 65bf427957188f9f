mock_provider "google" {
  mock_resource "google_service_account" {
    defaults = { email = "robot@contoso.iam", member = "serviceAccount:robot@contoso.iam", name = "projects/contoso/serviceAccounts/robot" }
  }
}

variables {
  project        = "flight-delays"
  environment    = "staging"
  region         = "europe-west1"
  lake           = { bucket = "contoso-lake" }
  cluster        = { workload_pool = "contoso-platform.svc.id.goog" }
  image_registry = "europe-west1-docker.pkg.dev/contoso-platform/mlops"
}

run "staging" {
  assert {
    condition     = google_service_account_iam_member.this.member == "serviceAccount:contoso-platform.svc.id.goog[flight-delays-staging/flight-delays]" && google_service_account_iam_member.this.role == "roles/iam.workloadIdentityUser"
    error_message = "Another service account than the one of k8s/overlays/staging would be believed."
  }

  assert {
    condition     = google_storage_managed_folder_iam_member.this.managed_folder == "flight-delays-staging/" && google_storage_managed_folder_iam_member.this.role == "roles/storage.objectUser"
    error_message = "The identity reaches more than its folder, or may do more than read and write there."
  }

  assert {
    condition     = google_secret_manager_secret_iam_member.this.secret_id == google_secret_manager_secret.this.id && google_secret_manager_secret_iam_member.this.role == "roles/secretmanager.secretAccessor"
    error_message = "The identity reads more than its secret, or may change it."
  }

  assert {
    condition     = google_storage_managed_folder_iam_member.this.member == "serviceAccount:robot@contoso.iam" && google_secret_manager_secret_iam_member.this.member == "serviceAccount:robot@contoso.iam"
    error_message = "Another identity has the project's roles."
  }

  assert {
    condition     = output.service_account_annotations == { "iam.gke.io/gcp-service-account" = "robot@contoso.iam" } && output.secret_name == "flight-delays-staging"
    error_message = "The overlay would get another identity or secret."
  }

  assert {
    condition     = output.data_url == "gs://contoso-lake/flight-delays-staging" && output.image_registry == "europe-west1-docker.pkg.dev/contoso-platform/mlops"
    error_message = "The overlay would get another address of data or images."
  }
}

run "production" {
  command = plan

  variables {
    environment = "production"
  }

  assert {
    condition     = google_service_account_iam_member.this.member == "serviceAccount:contoso-platform.svc.id.goog[flight-delays/flight-delays]"
    error_message = "Another service account than the one of k8s/overlays/production would be believed."
  }
}

run "a_long_name" {
  command = plan

  variables {
    project = "harbour-crane-hoist-rope-remaining-lives"
  }

  assert {
    condition     = length(google_service_account.this.account_id) <= 30 && can(regex("^[a-z][a-z0-9-]*[a-z0-9]$", google_service_account.this.account_id))
    error_message = "Google refuses the identity's name."
  }
}

run "a_name_of_two_words" {
  command = plan

  variables {
    project = "Flight Delays"
  }

  expect_failures = [var.project]
}

run "another_environment" {
  command = plan

  variables {
    environment = "local"
  }

  expect_failures = [var.environment]
}

run "a_zone_as_a_region" {
  command = plan

  variables {
    region = "europe-west1-b"
  }

  expect_failures = [var.region]
}

run "a_lake_by_its_address" {
  command = plan

  variables {
    lake = { bucket = "gs://contoso-lake" }
  }

  expect_failures = [var.lake]
}

run "another_pool" {
  command = plan

  variables {
    cluster = { workload_pool = "contoso-platform" }
  }

  expect_failures = [var.cluster]
}

run "a_registry_by_its_name" {
  command = plan

  variables {
    image_registry = "mlops"
  }

  expect_failures = [var.image_registry]
}
