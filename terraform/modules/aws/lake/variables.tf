variable "name" {
  type        = string
  description = "What the bucket, its key and the workgroup are called."
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9]*(-[a-z0-9]+)*$", var.name)) && length(var.name) <= 45
    error_message = "The name is lower case letters, digits and single hyphens, starts with a letter and has at most 45 characters: write something like ml-staging."
  }
}

variable "noncurrent_days" {
  type        = number
  description = "How many days an object that was replaced or deleted can be brought back."
  default     = 30
  nullable    = false

  validation {
    condition     = var.noncurrent_days >= 1 && var.noncurrent_days == floor(var.noncurrent_days)
    error_message = "noncurrent_days is a whole number of days, at least 1."
  }
}

variable "scan_limit_gib" {
  type        = number
  description = "How much one query in Athena may read, in GiB; beyond it the query is stopped."
  default     = 10
  nullable    = false

  validation {
    condition     = var.scan_limit_gib >= 1 && var.scan_limit_gib <= 1024 && var.scan_limit_gib == floor(var.scan_limit_gib)
    error_message = "scan_limit_gib is a whole number from 1 to 1024: what a query reads is paid for by the TiB."
  }
}

variable "force_destroy" {
  type        = bool
  description = "Whether `terraform destroy` deletes the data too. For sandboxes only."
  default     = false
  nullable    = false
}
