mock_provider "aws" {
  source = "../mocks"
}

variables {
  name    = "ml-test"
  lake    = { bucket = "ml-test-lake", key_arn = "arn:aws:kms:eu-central-1:123456789012:key/lake" }
  cluster = { oidc_provider_arn = "arn:aws:iam::123456789012:oidc-provider/oidc.example.org/cluster", oidc_issuer = "https://oidc.example.org/cluster" }
}

run "makes" {
  assert {
    condition     = jsondecode(aws_iam_role.this.assume_role_policy).Statement[0].Condition.StringEquals == { "oidc.example.org/cluster:aud" = "sts.amazonaws.com", "oidc.example.org/cluster:sub" = "system:serviceaccount:platform:mlflow" }
    error_message = "The role is for MLflow's service account, and no other."
  }

  assert {
    condition     = { for statement in jsondecode(aws_iam_role_policy.this.policy).Statement : statement.Sid => statement.Resource } == { ListArtifacts = "arn:aws:s3:::ml-test-lake", Artifacts = "arn:aws:s3:::ml-test-lake/mlflow/*", KeyOfTheLake = "arn:aws:kms:eu-central-1:123456789012:key/lake" }
    error_message = "The role reaches the artifacts, and no project's data."
  }

  assert {
    condition     = jsondecode(aws_iam_role_policy.this.policy).Statement[0].Condition.StringLike["s3:prefix"] == ["mlflow/*"]
    error_message = "The role lists the artifacts, and no project's data."
  }

  assert {
    condition     = output.artifacts_url == "s3://ml-test-lake/mlflow" && keys(output.service_account_annotations) == ["eks.amazonaws.com/role-arn"]
    error_message = "The overlay would get another place or another annotation."
  }
}

run "refuses" {
  command = plan

  variables {
    name    = "ml_test"
    lake    = { bucket = "s3://ml-test-lake", key_arn = "arn:aws:kms:eu-central-1:123456789012:key/lake" }
    cluster = { oidc_provider_arn = "oidc", oidc_issuer = "https://oidc.example.org/cluster" }
  }

  expect_failures = [var.name, var.lake, var.cluster]
}

run "refuses_also" {
  command = plan

  variables {
    lake    = { bucket = "ml-test-lake", key_arn = "alias/lake" }
    cluster = { oidc_provider_arn = "arn:aws:iam::123456789012:oidc-provider/oidc.example.org/cluster", oidc_issuer = "oidc.example.org" }
  }

  expect_failures = [var.lake, var.cluster]
}
