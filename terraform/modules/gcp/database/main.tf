# PostgreSQL for the registry (MLflow) and for parameter studies. Which model is the champion is in here.

resource "google_sql_database_instance" "this" {
  #checkov:skip=CKV_GCP_6:TLS is required; certificates of clients, beside passwords, are more than MLflow can renew
  #checkov:skip=CKV_GCP_108:addresses are logged; names would cost each connection a look-up
  #checkov:skip=CKV2_GCP_13:a line for each statement that took long is enough, and the values in statements stay out
  name                = var.name
  region              = var.region
  database_version    = "POSTGRES_18"
  deletion_protection = true

  settings {
    tier                        = var.tier
    edition                     = "ENTERPRISE"
    availability_type           = "REGIONAL"
    disk_autoresize             = true
    deletion_protection_enabled = true

    ip_configuration {
      ipv4_enabled    = false
      private_network = var.network_id
      ssl_mode        = "ENCRYPTED_ONLY"
    }

    backup_configuration {
      enabled                        = true
      point_in_time_recovery_enabled = true
      transaction_log_retention_days = 7

      backup_retention_settings {
        retained_backups = var.backup_days
      }
    }

    insights_config {
      query_insights_enabled = true
    }

    database_flags {
      name  = "cloudsql.enable_pgaudit"
      value = "on"
    }

    database_flags {
      name  = "log_checkpoints"
      value = "on"
    }

    database_flags {
      name  = "log_connections"
      value = "on"
    }

    database_flags {
      name  = "log_disconnections"
      value = "on"
    }

    database_flags {
      name  = "log_lock_waits"
      value = "on"
    }

    database_flags {
      name  = "log_min_error_statement"
      value = "error"
    }

    database_flags {
      name  = "log_statement"
      value = "ddl"
    }

    database_flags {
      name  = "log_temp_files"
      value = "0"
    }

    database_flags {
      name  = "log_min_duration_statement"
      value = "-1"
    }
  }
}

resource "google_sql_database" "this" {
  name     = "mlflow"
  instance = google_sql_database_instance.this.name
}

# Write-only: the password passes through and is in no state and no plan.
resource "google_sql_user" "this" {
  name                = "platform"
  instance            = google_sql_database_instance.this.name
  password_wo         = var.administrator_password
  password_wo_version = var.password_version
}
