mock_provider "aws" {
  source = "../mocks"
}

variables {
  name    = "ml-test"
  secrets = { settings = "The settings of a test" }
}

run "makes" {
  assert {
    condition     = aws_kms_key.this.enable_key_rotation && aws_secretsmanager_secret.this["settings"].kms_key_id == aws_kms_key.this.arn
    error_message = "The key is rotated, and encrypts the secret."
  }

  assert {
    condition     = aws_secretsmanager_secret.this["settings"].name == "ml-test/settings" && aws_secretsmanager_secret.this["settings"].recovery_window_in_days == 30
    error_message = "The secret's name begins with its owner's, and it can be brought back for 30 days."
  }

  assert {
    condition = jsondecode(aws_secretsmanager_secret_policy.this["settings"].policy).Statement == [{
      Sid       = "TlsOnly", Effect = "Deny", Principal = "*", Action = "secretsmanager:*"
      Resource  = aws_secretsmanager_secret.this["settings"].arn
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
    error_message = "The secret is read over TLS only."
  }

  # One sentence of the account itself, and services only for themselves.
  assert {
    condition = [
      for statement in jsondecode(aws_kms_key.this.policy).Statement : keys(statement.Condition)
      if try(statement.Principal.Service, "") != ""
    ] == [["ArnLike"], ["StringEquals"]]
    error_message = "A service uses the key for this account's logs and alarms only."
  }
}

run "refuses" {
  command = plan

  variables {
    name                    = "ML"
    secrets                 = { Settings = "A name in capitals" }
    recovery_window_in_days = 3
  }

  expect_failures = [var.name, var.secrets, var.recovery_window_in_days]
}
