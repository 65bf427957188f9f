variable "bucket" {
  type        = string
  description = "The bucket's name, unique in all of Google Cloud."
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket)) && !startswith(var.bucket, "goog")
    error_message = "The bucket's name is 3 to 63 lower case letters, digits and hyphens, and does not start with goog: contoso-mlops-prod."
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

variable "deleted_days" {
  type        = number
  description = "For how many days what was deleted or overwritten can be had back."
  default     = 30
  nullable    = false

  validation {
    condition     = var.deleted_days >= 7 && var.deleted_days <= 90
    error_message = "Deleted data is kept for 7 to 90 days."
  }
}
