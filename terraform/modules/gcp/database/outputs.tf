output "endpoint" {
  description = "HOST:PORT inside the network; it takes TLS only."
  value       = "${google_sql_database_instance.this.private_ip_address}:5432"
}

output "database" {
  description = "The database of MLflow."
  value       = google_sql_database.this.name
}

output "user" {
  description = "The administrator's name."
  value       = google_sql_user.this.name
}
