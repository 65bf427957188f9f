output "endpoint" {
  description = "HOST:PORT of the database `mlflow`. TLS is required: add `?sslmode=verify-full` with the bundle of RDS."
  value       = aws_db_instance.this.endpoint
}

output "secret_arn" {
  description = "The secret in which RDS keeps the master user's name and password."
  value       = aws_db_instance.this.master_user_secret[0].secret_arn
}

output "alarms" {
  description = "What to watch, for the module `alarms`: a disk that fills, and a machine that is too small."
  value = {
    database-storage = {
      description = "Less than 4 GiB are free for ${var.name}: raise max_storage_gib"
      namespace   = "AWS/RDS"
      metric      = "FreeStorageSpace"
      dimensions  = { DBInstanceIdentifier = aws_db_instance.this.identifier }
      statistic   = "Minimum"
      comparison  = "LessThanThreshold"
      threshold   = 4 * 1024 * 1024 * 1024
    }
    database-cpu = {
      description = "${var.name} computes without a pause: take a larger instance_class"
      namespace   = "AWS/RDS"
      metric      = "CPUUtilization"
      dimensions  = { DBInstanceIdentifier = aws_db_instance.this.identifier }
      statistic   = "Average"
      comparison  = "GreaterThanThreshold"
      threshold   = 90
    }
  }
}
