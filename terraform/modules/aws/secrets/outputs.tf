output "key_arn" {
  description = "The ARN of the key, for what else belongs to the same owner."
  value       = aws_kms_key.this.arn
}

output "secret_names" {
  description = "The full name of each secret, by its key in `secrets`."
  value       = { for key, secret in aws_secretsmanager_secret.this : key => secret.name }
}

output "secret_arns" {
  description = "The ARN of each secret, by its key in `secrets`."
  value       = { for key, secret in aws_secretsmanager_secret.this : key => secret.arn }
}
