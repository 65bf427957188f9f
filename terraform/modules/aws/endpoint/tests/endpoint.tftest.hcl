mock_provider "aws" {
  source = "../mocks"
}

variables {
  name        = "flight-delays-staging"
  package     = "flight_delays"
  image       = { repository_url = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/staging/flight-delays/serve", repository_arn = "arn:aws:ecr:eu-central-1:123456789012:repository/staging/flight-delays/serve", tag = "0a1b2c3" }
  model       = { bucket = "ml-test-lake", key = "flight-delays-staging/endpoint/3-0123456789ab.tar.gz", key_arn = "arn:aws:kms:eu-central-1:123456789012:key/lake" }
  network     = { vpc_id = "vpc-12345678", subnet_ids = ["subnet-1", "subnet-2"], cache_security_group_id = "sg-cache" }
  settings    = { ONLINE_URL = "rediss://reader:word@cache:6379/0", FRONT_AUTHENTICATES = "false" }
  kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/given"
}

run "makes" {
  assert {
    condition = aws_sagemaker_model.this.primary_container[0].environment == tomap({
      FLIGHT_DELAYS_PORT       = "8080", FLIGHT_DELAYS_FIXED_BUNDLE = "/opt/ml/model", FLIGHT_DELAYS_FRONT_AUTHENTICATES = "true"
      FLIGHT_DELAYS_ONLINE_URL = "rediss://reader:word@cache:6379/0"
    })
    error_message = "The image is told what SageMaker is, whatever else it is told."
  }

  assert {
    condition     = aws_sagemaker_model.this.primary_container[0].image == "${var.image.repository_url}:0a1b2c3" && aws_sagemaker_model.this.primary_container[0].model_data_url == "s3://ml-test-lake/flight-delays-staging/endpoint/3-0123456789ab.tar.gz"
    error_message = "It is the image of that commit, with that bundle."
  }

  assert {
    condition     = aws_sagemaker_model.this.vpc_config[0].subnets == toset(var.network.subnet_ids) && aws_sagemaker_model.this.vpc_config[0].security_group_ids == toset([aws_security_group.this.id])
    error_message = "It stands in the private subnets."
  }

  assert {
    condition     = aws_sagemaker_endpoint_configuration.this.kms_key_arn == var.kms_key_arn && aws_cloudwatch_log_group.this.kms_key_id == var.kms_key_arn
    error_message = "Disks and log are encrypted with the given key."
  }

  assert {
    condition     = length(aws_sagemaker_endpoint_configuration.this.data_capture_config) == 0
    error_message = "Nothing that is asked is captured."
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.cache.security_group_id == "sg-cache" && aws_vpc_security_group_ingress_rule.cache.referenced_security_group_id == aws_security_group.this.id && aws_vpc_security_group_egress_rule.cache.to_port == 6379
    error_message = "It reaches the online store, and the store lets it in."
  }

  assert {
    condition     = jsondecode(aws_iam_role.this.assume_role_policy).Statement[0].Principal.Service == "sagemaker.amazonaws.com" && jsondecode(aws_iam_role.this.assume_role_policy).Statement[0].Condition.StringEquals["aws:SourceAccount"] == "123456789012"
    error_message = "SageMaker takes the role for this account, and nobody else does."
  }

  assert {
    condition     = [for statement in jsondecode(aws_iam_role_policy.this.policy).Statement : statement.Sid if statement.Resource == "*"] == ["SignInToTheRegistry", "Metrics", "LookAtTheNetwork"]
    error_message = "Only what has no ARN is allowed on everything."
  }

  assert {
    condition     = [for statement in jsondecode(aws_iam_role_policy.this.policy).Statement : statement.Resource if statement.Sid == "Bundle"] == ["arn:aws:s3:::ml-test-lake/flight-delays-staging/endpoint/3-0123456789ab.tar.gz"]
    error_message = "The role reads the bundle, and nothing else of the lake."
  }
}

run "refuses" {
  command = plan

  variables {
    name          = "Flight Delays"
    package       = "flight-delays"
    image         = { repository_url = "repository", repository_arn = "arn:aws:ecr:eu-central-1:123456789012:repository/serve", tag = "latest" }
    model         = { bucket = "ml-test-lake", key = "endpoint/model.tar.gz", key_arn = "arn:aws:kms:eu-central-1:123456789012:key/lake" }
    network       = { vpc_id = "vpc-12345678", subnet_ids = ["subnet-1"], cache_security_group_id = "sg-cache" }
    settings      = { PREDICT_KEYS = "0" }
    instance_type = "ml.m5d.large"
    instances     = 0
    kms_key_arn   = "alias/key"
  }

  expect_failures = [
    var.name, var.package, var.image, var.model, var.network, var.settings, var.instance_type, var.instances,
    var.kms_key_arn,
  ]
}
