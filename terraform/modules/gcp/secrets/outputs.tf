output "secret_names" {
  description = "The name of each secret."
  value       = { for name, secret in google_secret_manager_secret.this : name => secret.secret_id }
}
