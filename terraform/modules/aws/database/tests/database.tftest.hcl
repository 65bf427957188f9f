# moto takes minutes for a database and loses a parameter: this is all that tests it.

mock_provider "aws" {
  source = "../mocks"
}

variables {
  name                     = "ml-test"
  client_security_group_id = "sg-12345678"
  vpc_id                   = "vpc-12345678"
  subnet_ids               = ["subnet-1", "subnet-2"]
  kms_key_arn              = "arn:aws:kms:eu-central-1:123456789012:key/given"
}

run "makes" {
  assert {
    condition     = aws_db_instance.this.storage_encrypted && aws_db_instance.this.kms_key_id == var.kms_key_arn && !aws_db_instance.this.publicly_accessible
    error_message = "The database is encrypted with the given key, and private."
  }

  assert {
    condition     = aws_db_instance.this.deletion_protection && aws_db_instance.this.backup_retention_period == 14 && !aws_db_instance.this.skip_final_snapshot && aws_db_instance.this.multi_az
    error_message = "The database survives a slip, two weeks unnoticed, and the loss of a zone."
  }

  assert {
    condition     = aws_db_instance.this.manage_master_user_password && aws_db_instance.this.password == null
    error_message = "The password is in no state."
  }

  assert {
    condition     = contains([for parameter in aws_db_parameter_group.this.parameter : "${parameter.name}=${parameter.value}"], "rds.force_ssl=1")
    error_message = "Connections without TLS are refused."
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.this.referenced_security_group_id == "sg-12345678" && aws_vpc_security_group_ingress_rule.this.from_port == 5432
    error_message = "Only the given group reaches the database."
  }

  assert {
    condition     = keys(output.alarms) == ["database-cpu", "database-storage"]
    error_message = "A full disk and a machine that is too small are watched."
  }
}

run "refuses" {
  command = plan

  variables {
    name             = "ml_test"
    postgres_version = "9.6"
    instance_class   = "t4g.medium"
    max_storage_gib  = 20
    subnet_ids       = ["subnet-1"]
    kms_key_arn      = "alias/key"
  }

  expect_failures = [
    var.name, var.postgres_version, var.instance_class, var.max_storage_gib, var.subnet_ids, var.kms_key_arn,
  ]
}
