terraform {
  required_version = ">= 1.11, < 2.0"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 6.50"
    }
  }

  # The state is an object: encrypted, versioned, and locked by a second object while somebody applies. `bootstrap` makes
  # its bucket. terraform init -backend-config=bucket=NAME
  backend "gcs" {
    prefix = "platform"
  }
}

provider "google" {
  project        = var.project_id
  region         = var.region
  default_labels = { platform = var.name, managed-by = "terraform" }
}
