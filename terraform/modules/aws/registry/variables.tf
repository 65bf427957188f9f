variable "prefix" {
  type        = string
  description = "What stands before each repository's name, such as the environment."
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9]+(-[a-z0-9]+)*$", var.prefix))
    error_message = "The prefix is lower case letters, digits and single hyphens: write something like staging."
  }
}

variable "repositories" {
  type        = set(string)
  description = "The names of the repositories after the prefix, such as `flight-delays/serve`."
  nullable    = false

  validation {
    condition     = length(var.repositories) > 0 && alltrue([for name in var.repositories : can(regex("^[a-z0-9-]+(/[a-z0-9-]+)*$", name))])
    error_message = "Name at least one repository, in lower case letters, digits, hyphens and slashes: repositories = [\"flight-delays/serve\"]."
  }
}

variable "images_kept" {
  type        = number
  description = "How many images each repository keeps; the oldest go first."
  default     = 50
  nullable    = false

  validation {
    condition     = var.images_kept >= 10 && var.images_kept == floor(var.images_kept)
    error_message = "images_kept is a whole number, at least 10: fewer, and a rollback may not find its image."
  }
}

variable "force_delete" {
  type        = bool
  description = "Whether `terraform destroy` deletes the images too. For sandboxes only."
  default     = false
  nullable    = false
}

variable "kms_key_arn" {
  type        = string
  description = "The key that encrypts the images: `key_arn` of the module `secrets`."
  nullable    = false

  validation {
    condition     = can(regex("^arn:[^:]+:kms:[^:]+:[0-9]{12}:key/", var.kms_key_arn))
    error_message = "kms_key_arn is the ARN of a key, not its id or alias: arn:aws:kms:REGION:ACCOUNT:key/ID."
  }
}
