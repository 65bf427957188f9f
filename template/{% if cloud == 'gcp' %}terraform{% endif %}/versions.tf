terraform {
  required_version = ">= 1.11, < 2.0"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 6.50"
    }
  }

  # The state holds no secret's value, and is encrypted and locked all the same. Where: environments/*.tfbackend
  backend "gcs" {}
}

provider "google" {
  project        = var.project_id
  region         = var.region
  default_labels = { project = local.project, environment = var.environment, managed-by = "terraform" }
}
