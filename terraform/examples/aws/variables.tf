variable "region" {
  type        = string
  description = "Where everything is."
  default     = "eu-central-1"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "The region is written like eu-central-1, without the letter of a zone."
  }
}

variable "environment" {
  type        = string
  description = "`staging` or `production`."
  nullable    = false

  validation {
    condition     = contains(["staging", "production"], var.environment)
    error_message = "The environment is staging or production."
  }
}

variable "admin_role_arns" {
  type        = set(string)
  description = "The IAM roles that administer the cluster."
  nullable    = false
}

variable "public_access_cidrs" {
  type        = set(string)
  description = "The networks that reach the API of Kubernetes from outside; none: it is private."
  default     = []
  nullable    = false
}

variable "alarm_emails" {
  type        = set(string)
  description = "Who is written to when something is wrong."
  nullable    = false
}

variable "cache_auth_token" {
  type        = string
  description = "The password of Redis, from the environment as `TF_VAR_cache_auth_token`."
  sensitive   = true
  nullable    = false
}

variable "sandbox" {
  type        = bool
  description = "Whether `terraform destroy` deletes data, images and secrets for good, at once."
  default     = false
  nullable    = false
}
