# moto does not know replication groups: this is all that tests them.

mock_provider "aws" {
  source = "../mocks"
}

variables {
  name                     = "ml-test"
  client_security_group_id = "sg-12345678"
  auth_token               = "0123456789abcdef0123456789abcdef"
  vpc_id                   = "vpc-12345678"
  subnet_ids               = ["subnet-1", "subnet-2"]
  kms_key_arn              = "arn:aws:kms:eu-central-1:123456789012:key/given"
}

run "makes" {
  assert {
    condition     = aws_elasticache_replication_group.this.at_rest_encryption_enabled == "true" && aws_elasticache_replication_group.this.kms_key_id == var.kms_key_arn
    error_message = "What is on disk is encrypted with the given key."
  }

  assert {
    condition     = aws_elasticache_replication_group.this.transit_encryption_enabled && aws_elasticache_replication_group.this.transit_encryption_mode == "required" && aws_elasticache_replication_group.this.auth_token == var.auth_token
    error_message = "Redis is reached over TLS and with the password only."
  }

  assert {
    condition     = aws_elasticache_replication_group.this.automatic_failover_enabled && aws_elasticache_replication_group.this.multi_az_enabled
    error_message = "A second machine in another zone takes over."
  }

  assert {
    condition     = [for parameter in aws_elasticache_parameter_group.this.parameter : parameter.value if parameter.name == "maxmemory-policy"] == ["noeviction"]
    error_message = "Nothing is evicted."
  }

  assert {
    condition     = output.alarms["cache-memory-002"].dimensions.CacheClusterId == "ml-test-002"
    error_message = "The memory of each machine is watched."
  }
}

run "refuses" {
  command = plan

  variables {
    name        = "ml_test"
    node_type   = "t4g.small"
    auth_token  = "short"
    subnet_ids  = ["subnet-1"]
    kms_key_arn = "alias/key"
  }

  expect_failures = [var.name, var.node_type, var.auth_token, var.subnet_ids, var.kms_key_arn]
}
