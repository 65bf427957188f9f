terraform {
  required_version = ">= 1.11, < 2.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 6.0"
    }
  }

  # The rest is in backend.hcl, which bootstrap/ writes. Two applies at once: the second is refused by the lock.
  backend "s3" {
    encrypt      = true
    use_lockfile = true
  }
}

provider "aws" {
  region = var.region

  # On everything, so that the bill and a search say whose a thing is.
  default_tags {
    tags = { platform = local.name, environment = var.environment, managed-by = "terraform" }
  }
}
