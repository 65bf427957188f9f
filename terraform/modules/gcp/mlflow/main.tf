# The registry's right to its artifacts: a folder of the lake, and the identity of MLflow's pods, which has it and nothing
# else. MLflow hands the artifacts out itself (k8s/base/mlflow): projects have no key to them.

resource "google_storage_managed_folder" "this" {
  bucket = var.lake.bucket
  name   = "mlflow/"
}

resource "google_service_account" "this" {
  account_id   = "${var.name}-mlflow"
  display_name = "The pods of MLflow of ${var.name}"
}

resource "google_service_account_iam_member" "this" {
  service_account_id = google_service_account.this.name
  role               = "roles/iam.workloadIdentityUser"
  member             = "serviceAccount:${var.cluster.workload_pool}[platform/mlflow]" # as in k8s/base/mlflow
}

resource "google_storage_managed_folder_iam_member" "this" {
  bucket         = var.lake.bucket
  managed_folder = google_storage_managed_folder.this.name
  role           = "roles/storage.objectUser"
  member         = google_service_account.this.member
}
