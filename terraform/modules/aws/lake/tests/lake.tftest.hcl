mock_provider "aws" {
  source = "../mocks"
}

variables {
  name = "ml-test"
}

run "makes" {
  assert {
    condition     = aws_s3_bucket.this.bucket == "ml-test-lake-123456789012" && !aws_s3_bucket.this.force_destroy
    error_message = "The bucket is named after its account, and is not destroyed with what is in it."
  }

  assert {
    condition     = aws_s3_bucket_public_access_block.this.block_public_acls && aws_s3_bucket_public_access_block.this.block_public_policy && aws_s3_bucket_public_access_block.this.ignore_public_acls && aws_s3_bucket_public_access_block.this.restrict_public_buckets
    error_message = "The bucket can be made public."
  }

  assert {
    condition     = aws_kms_key.this.enable_key_rotation && [for rule in aws_s3_bucket_server_side_encryption_configuration.this.rule : rule.apply_server_side_encryption_by_default[0]] == [{ kms_master_key_id = aws_kms_key.this.arn, sse_algorithm = "aws:kms" }]
    error_message = "What is in the bucket is encrypted with its own key, which is rotated."
  }

  assert {
    condition     = [for statement in jsondecode(aws_s3_bucket_policy.this.policy).Statement : statement.Condition if statement.Sid == "TlsOnly"] == [{ Bool = { "aws:SecureTransport" = "false" } }]
    error_message = "The bucket is reached over TLS only."
  }

  assert {
    condition     = aws_athena_workgroup.this.configuration[0].bytes_scanned_cutoff_per_query == 10737418240 && aws_athena_workgroup.this.configuration[0].enforce_workgroup_configuration
    error_message = "A query is stopped at 10 GiB, and its author cannot lift that."
  }

  assert {
    condition     = { for statement in jsondecode(aws_s3_bucket_policy.this.policy).Statement : statement.Sid => statement.Effect } == { TlsOnly = "Deny", NoOldTls = "Deny", NoOtherKey = "Deny", NoOtherEncryption = "Deny" }
    error_message = "The bucket's policy refuses what is not encrypted, on the way or on disk, and allows nobody anything."
  }
}

run "refuses" {
  command = plan

  variables {
    name            = "ml_test"
    noncurrent_days = 0
    scan_limit_gib  = 0.5
  }

  expect_failures = [var.name, var.noncurrent_days, var.scan_limit_gib]
}
