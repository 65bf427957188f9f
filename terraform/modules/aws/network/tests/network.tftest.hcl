mock_provider "aws" {
  source = "../mocks"
}

variables {
  name               = "ml-test"
  availability_zones = ["eu-central-1a", "eu-central-1b"]
  kms_key_arn        = "arn:aws:kms:eu-central-1:123456789012:key/given"
}

run "makes" {
  assert {
    condition     = [for zone in var.availability_zones : aws_subnet.private[zone].cidr_block] == ["10.20.0.0/20", "10.20.16.0/20"]
    error_message = "Each zone has a sixteenth of the addresses, in the order of the zones."
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.endpoints.cidr_ipv4 == var.cidr && alltrue([for endpoint in aws_vpc_endpoint.interface : endpoint.private_dns_enabled])
    error_message = "The endpoints answer the network only, under the names of AWS."
  }

  # To S3 of this account, and to the layers of images.
  assert {
    condition     = [for statement in jsondecode(aws_vpc_endpoint.s3.policy).Statement : try(statement.Condition.StringEquals["aws:ResourceAccount"], statement.Resource)] == ["123456789012", "arn:aws:s3:::prod-eu-central-1-starport-layer-bucket/*"]
    error_message = "Data cannot be carried to a bucket of another account."
  }
}

run "refuses" {
  command = plan

  variables {
    name               = "ml_test"
    cidr               = "10.20.0.0/24"
    availability_zones = ["eu-central-1a"]
    endpoints          = ["s3"]
    kms_key_arn        = "alias/key"
  }

  expect_failures = [var.name, var.cidr, var.availability_zones, var.endpoints, var.kms_key_arn]
}
