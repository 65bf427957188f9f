mock_provider "google" {
  mock_resource "google_service_account" {
    defaults = { email = "robot@contoso.iam", member = "serviceAccount:robot@contoso.iam", name = "projects/contoso/serviceAccounts/robot" }
  }
}

variables {
  name    = "contoso-mlops"
  lake    = { bucket = "contoso-lake" }
  cluster = { workload_pool = "contoso-platform.svc.id.goog" }
}

run "makes" {
  assert {
    condition     = google_service_account_iam_member.this.member == "serviceAccount:contoso-platform.svc.id.goog[platform/mlflow]" && google_service_account_iam_member.this.role == "roles/iam.workloadIdentityUser"
    error_message = "Another service account than MLflow's would be believed."
  }

  assert {
    condition     = google_storage_managed_folder_iam_member.this.managed_folder == "mlflow/" && google_storage_managed_folder_iam_member.this.role == "roles/storage.objectUser" && google_storage_managed_folder_iam_member.this.member == "serviceAccount:robot@contoso.iam"
    error_message = "The identity reaches more than the artifacts, or may do more than read and write there."
  }

  assert {
    condition     = output.service_account_annotations == { "iam.gke.io/gcp-service-account" = "robot@contoso.iam" } && output.artifacts_url == "gs://contoso-lake/mlflow"
    error_message = "The overlay would get another identity or another place."
  }
}

run "a_name_of_two_words" {
  command = plan

  variables {
    name = "Contoso MLOps"
  }

  expect_failures = [var.name]
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
