mock_provider "aws" {
  source = "../mocks"
}

variables {
  project      = "flight-delays"
  environment  = "staging"
  lake         = { bucket = "ml-test-lake", key_arn = "arn:aws:kms:eu-central-1:123456789012:key/lake" }
  cluster      = { oidc_provider_arn = "arn:aws:iam::123456789012:oidc-provider/oidc.example.org/cluster", oidc_issuer = "https://oidc.example.org/cluster" }
  alarm_emails = ["team@example.org"]
}

run "staging" {
  assert {
    condition     = jsondecode(aws_iam_role.this.assume_role_policy).Statement[0].Condition.StringEquals == { "oidc.example.org/cluster:aud" = "sts.amazonaws.com", "oidc.example.org/cluster:sub" = "system:serviceaccount:flight-delays-staging:flight-delays" }
    error_message = "The role is for the project's service account in the namespace of staging."
  }

  assert {
    condition     = output.data_url == "s3://ml-test-lake/flight-delays-staging" && output.secret_name == "flight-delays-staging/settings"
    error_message = "The data and the secret are named after the project and the environment."
  }

  assert {
    condition     = { for statement in jsondecode(aws_iam_role_policy.this.policy).Statement : statement.Sid => statement.Resource if contains(["ListOwnData", "OwnData"], statement.Sid) } == { ListOwnData = "arn:aws:s3:::ml-test-lake", OwnData = "arn:aws:s3:::ml-test-lake/flight-delays-staging/*" }
    error_message = "The role reaches the project's own prefix of the lake, and no other's."
  }

  assert {
    condition     = output.endpoint == null
    error_message = "There is no endpoint unless it is asked for."
  }

  assert {
    condition     = keys(output.service_account_annotations) == ["eks.amazonaws.com/role-arn"] && output.stream_names == {}
    error_message = "The annotation names the role, and there are no streams unless they are asked for."
  }
}

run "production" {
  command = plan

  variables {
    environment = "production"
    streams     = ["predictions"]
  }

  assert {
    condition     = jsondecode(aws_iam_role.this.assume_role_policy).Statement[0].Condition.StringEquals["oidc.example.org/cluster:sub"] == "system:serviceaccount:flight-delays:flight-delays"
    error_message = "Production has the namespace without a suffix."
  }
}

run "with_a_stream" {
  variables {
    streams = ["predictions"]
  }

  assert {
    condition     = [for statement in jsondecode(aws_iam_role_policy.this.policy).Statement : statement.Action if startswith(statement.Sid, "OwnStream")] == [["kinesis:PutRecords"]]
    error_message = "The project may put records into the stream of its predictions, and nothing else."
  }
}

run "with_an_endpoint" {
  variables {
    endpoint = {
      image_tag = "0a1b2c3"
      bundle    = "3-0123456789ab"
      network   = { vpc_id = "vpc-12345678", subnet_ids = ["subnet-1", "subnet-2"], cache_security_group_id = "sg-cache" }
    }
    endpoint_settings = { ONLINE_URL = "rediss://reader:word@cache:6379/0" }
  }

  assert {
    condition     = output.endpoint.name == "flight-delays-staging"
    error_message = "The endpoint is named after the project and the environment."
  }
}

run "refuses" {
  command = plan

  variables {
    project      = "Flight Delays"
    environment  = "test"
    lake         = { bucket = "s3://ml-test-lake", key_arn = "arn:aws:kms:eu-central-1:123456789012:key/lake" }
    cluster      = { oidc_provider_arn = "oidc", oidc_issuer = "https://oidc.example.org/cluster" }
    alarm_emails = []
    tables       = { view = [{ name = "value", type = "decimal" }] }
    first_day    = "2013"
    streams      = ["labels"]
    endpoint = {
      image_tag = "0a1b2c3"
      bundle    = "champion"
      network   = { vpc_id = "vpc-12345678", subnet_ids = ["subnet-1", "subnet-2"], cache_security_group_id = "sg-cache" }
    }
  }

  expect_failures = [
    var.project, var.environment, var.lake, var.cluster, var.alarm_emails, var.tables, var.first_day, var.streams,
    var.endpoint,
  ]
}

run "refuses_also" {
  command = plan

  variables {
    lake    = { bucket = "ml-test-lake", key_arn = "alias/lake" }
    cluster = { oidc_provider_arn = "arn:aws:iam::123456789012:oidc-provider/oidc.example.org/cluster", oidc_issuer = "oidc.example.org" }
    tables  = { view = [{ name = "date", type = "string" }] }
  }

  expect_failures = [var.lake, var.cluster, var.tables]
}
