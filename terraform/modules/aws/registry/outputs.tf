output "image_registry" {
  description = "What stands before the names in `repositories` when an image is pushed or pulled."
  value       = [for name, repository in aws_ecr_repository.this : trimsuffix(repository.repository_url, "/${name}")][0]
}
