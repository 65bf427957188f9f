# The bucket of the Terraform state itself, applied once, with a state on the disk of who applies it.

terraform {
  required_version = ">= 1.11, < 2.0"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 6.50"
    }
  }
}

variable "project_id" {
  type        = string
  description = "The Google Cloud project that holds the state."
}

variable "region" {
  type        = string
  description = "The Google Cloud region."
  default     = "europe-west1"
}

provider "google" {
  project = var.project_id
  region  = var.region
}

resource "google_storage_bucket" "this" {
  #checkov:skip=CKV_GCP_62:who read the state is in Cloud Audit Logs where an audit asks for them
  name                        = "${var.project_id}-terraform"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  versioning {
    enabled = true
  }

  lifecycle {
    prevent_destroy = true
  }
}
