variable "name" {
  type        = string
  description = "The server's name; one that was deleted is taken for a week."
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,22}[a-z0-9]$", var.name))
    error_message = "The name is lower case letters, digits and hyphens, starts with a letter and has 3 to 24 characters: mlops-prod."
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

variable "network_id" {
  type        = string
  description = "The network (output of network)."
  nullable    = false
}

variable "administrator_password" {
  type        = string
  description = "The administrator's password; never in the state. Set TF_VAR_administrator_password."
  sensitive   = true
  ephemeral   = true
  nullable    = false

  validation {
    condition     = length(var.administrator_password) >= 24
    error_message = "The administrator's password has at least 24 characters: openssl rand -base64 24 makes one."
  }
}

variable "password_version" {
  type        = number
  description = "Raised by one when the password changes, as Terraform does not keep the password to compare with."
  default     = 1
  nullable    = false
}

variable "tier" {
  type        = string
  description = "The server's size."
  default     = "db-custom-2-8192"
  nullable    = false

  validation {
    condition     = !contains(["db-f1-micro", "db-g1-small"], var.tier)
    error_message = "Shared-core sizes have no availability promise: choose one such as db-custom-2-8192."
  }
}

variable "backup_days" {
  type        = number
  description = "For how many days back the database can be restored; the last 7 of them to any moment."
  default     = 14
  nullable    = false

  validation {
    condition     = var.backup_days >= 7 && var.backup_days <= 365
    error_message = "Backups are kept for 7 to 365 days."
  }
}
