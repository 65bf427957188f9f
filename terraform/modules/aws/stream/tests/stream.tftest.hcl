mock_provider "aws" {
  source = "../mocks"
}

variables {
  name        = "ml-test"
  kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/given"
}

run "makes" {
  assert {
    condition     = alltrue([for stream in aws_kinesis_stream.this : stream.encryption_type == "KMS" && stream.kms_key_id == var.kms_key_arn && stream.retention_period == 168])
    error_message = "Each stream is encrypted with the given key, and keeps a week."
  }

  assert {
    condition     = keys(output.alarms) == ["predictions-throttled"]
    error_message = "The stream that is made by default has its alarm."
  }
}

run "refuses" {
  command = plan

  variables {
    name            = "-"
    streams         = ["Predictions"]
    shards          = 0
    retention_hours = 12
    kms_key_arn     = "alias/key"
  }

  expect_failures = [var.name, var.streams, var.shards, var.retention_hours, var.kms_key_arn]
}
