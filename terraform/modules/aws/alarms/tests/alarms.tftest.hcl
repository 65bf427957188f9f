mock_provider "aws" {
  source = "../mocks"
}

variables {
  name   = "ml-test"
  emails = ["team@example.org"]
  alarms = {
    full = {
      description = "The disk is full"
      namespace   = "AWS/RDS"
      metric      = "FreeStorageSpace"
      dimensions  = { DBInstanceIdentifier = "ml-test" }
      statistic   = "Minimum"
      comparison  = "LessThanThreshold"
      threshold   = 1
    }
  }
  kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/given"
}

run "makes" {
  assert {
    condition     = aws_cloudwatch_metric_alarm.this["full"].alarm_actions == toset([aws_sns_topic.this.arn]) && aws_cloudwatch_metric_alarm.this["full"].ok_actions == toset([aws_sns_topic.this.arn])
    error_message = "The alarm and its end reach the topic."
  }

  assert {
    condition     = aws_sns_topic.this.kms_master_key_id == var.kms_key_arn
    error_message = "The messages are encrypted with the given key."
  }

  assert {
    condition     = contains([for statement in jsondecode(aws_sns_topic_policy.this.policy).Statement : statement if statement.Effect == "Deny"][*].Condition.Bool["aws:SecureTransport"], "false")
    error_message = "Messages are published over TLS only."
  }
}

run "refuses" {
  command = plan

  variables {
    name        = "ml test"
    emails      = ["team"]
    alarms      = { full = { description = "", namespace = "", metric = "", dimensions = {}, statistic = "Minimum", comparison = "Less", threshold = 1 } }
    kms_key_arn = "alias/key"
  }

  expect_failures = [var.name, var.emails, var.alarms, var.kms_key_arn]
}

run "refuses_a_statistic" {
  command = plan

  variables {
    alarms = { full = { description = "", namespace = "", metric = "", dimensions = {}, statistic = "p99", comparison = "LessThanThreshold", threshold = 1 } }
  }

  expect_failures = [var.alarms]
}
