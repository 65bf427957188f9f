variable "name" {
  type        = string
  description = "The repository's name."
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,22}[a-z0-9]$", var.name))
    error_message = "The name is lower case letters, digits and hyphens, starts with a letter and has 3 to 24 characters: mlops-prod."
  }
}

variable "project_id" {
  type        = string
  description = "The Google Cloud project's id."
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "The project_id is 6 to 30 lower case letters, digits and hyphens, and not the project's number."
  }
}

variable "region" {
  type        = string
  description = "The Google Cloud region, such as europe-west1."
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "The region is one such as europe-west1; europe-west1-b is a zone of it."
  }
}
