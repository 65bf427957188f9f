mock_provider "google" {}

variables {
  name                   = "contoso-mlops"
  region                 = "europe-west1"
  network_id             = "network"
  administrator_password = "a-password-of-a-test-only"
}

run "private_kept_and_with_a_standby" {
  command = plan

  assert {
    condition     = !google_sql_database_instance.this.settings[0].ip_configuration[0].ipv4_enabled && google_sql_database_instance.this.settings[0].ip_configuration[0].ssl_mode == "ENCRYPTED_ONLY"
    error_message = "The database has a public address, or takes connections without TLS."
  }

  assert {
    condition     = google_sql_database_instance.this.settings[0].backup_configuration[0].point_in_time_recovery_enabled && google_sql_database_instance.this.settings[0].backup_configuration[0].backup_retention_settings[0].retained_backups == 14
    error_message = "The registry cannot be restored."
  }

  assert {
    condition     = google_sql_database_instance.this.settings[0].availability_type == "REGIONAL" && google_sql_database_instance.this.deletion_protection && google_sql_database_instance.this.settings[0].deletion_protection_enabled
    error_message = "A lost zone or one command loses the registry."
  }

  assert {
    condition     = google_sql_user.this.password == null && google_sql_database_instance.this.root_password == null
    error_message = "The password would be in the state."
  }
}

run "a_name_in_capitals" {
  command = plan

  variables {
    name = "Contoso"
  }

  expect_failures = [var.name]
}

run "a_zone_as_a_region" {
  command = plan

  variables {
    region = "europe-west1-b"
  }

  expect_failures = [var.region]
}

run "a_short_password" {
  command = plan

  variables {
    administrator_password = "short"
  }

  expect_failures = [var.administrator_password]
}

run "a_shared_core" {
  command = plan

  variables {
    tier = "db-f1-micro"
  }

  expect_failures = [var.tier]
}

run "no_backups" {
  command = plan

  variables {
    backup_days = 0
  }

  expect_failures = [var.backup_days]
}
