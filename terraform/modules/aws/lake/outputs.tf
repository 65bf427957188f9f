output "bucket" {
  description = "The name of the bucket."
  value       = aws_s3_bucket.this.bucket
}

output "key_arn" {
  description = "The ARN of the key that encrypts what is in the bucket."
  value       = aws_kms_key.this.arn
}

output "workgroup" {
  description = "The Athena workgroup to query in."
  value       = aws_athena_workgroup.this.name
}
