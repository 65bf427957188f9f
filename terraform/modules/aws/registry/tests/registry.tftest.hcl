mock_provider "aws" {
  source = "../mocks"
}

variables {
  prefix       = "staging"
  repositories = ["flight-delays/serve", "flight-delays/sync"]
  kms_key_arn  = "arn:aws:kms:eu-central-1:123456789012:key/given"
}

run "makes" {
  assert {
    condition     = alltrue([for repository in aws_ecr_repository.this : repository.image_tag_mutability == "IMMUTABLE" && repository.image_scanning_configuration[0].scan_on_push && !repository.force_delete])
    error_message = "A tag is written once, each image is scanned, and images outlive a destroy."
  }

  assert {
    condition     = alltrue([for repository in aws_ecr_repository.this : repository.encryption_configuration[0].encryption_type == "KMS" && repository.encryption_configuration[0].kms_key == var.kms_key_arn])
    error_message = "The images are encrypted with the given key."
  }

  assert {
    condition     = [for repository in aws_ecr_repository.this : repository.name] == ["staging/flight-delays/serve", "staging/flight-delays/sync"]
    error_message = "The prefix stands before each name."
  }
}

run "refuses" {
  command = plan

  variables {
    prefix       = "Staging"
    repositories = []
    images_kept  = 1
    kms_key_arn  = "alias/key"
  }

  expect_failures = [var.prefix, var.repositories, var.images_kept, var.kms_key_arn]
}
