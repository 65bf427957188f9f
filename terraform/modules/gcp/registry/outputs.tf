output "registry_id" {
  description = "The repository's id, for the role of the nodes that pull."
  value       = google_artifact_registry_repository.this.id
}

output "image_registry" {
  description = "What comes before <slug>/serve in an image's name."
  value       = "${var.region}-docker.pkg.dev/${var.project_id}/${google_artifact_registry_repository.this.repository_id}"
}
