variable "name" {
  type        = string
  description = "What the key and the secrets belong to; the first part of each secret's name."
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9]*(-[a-z0-9]+)*$", var.name)) && length(var.name) <= 52
    error_message = "The name is lower case letters, digits and single hyphens, starts with a letter and has at most 52 characters: write something like ml-staging."
  }
}

variable "secrets" {
  type        = map(string)
  description = "The secrets to make: what each is for, by the last part of its name. They are made empty."
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for name in keys(var.secrets) : can(regex("^[a-z][a-z0-9-]*$", name))])
    error_message = "The name of a secret is lower case letters, digits and hyphens: secrets = { settings = \"what it is for\" }."
  }
}

variable "recovery_window_in_days" {
  type        = number
  description = "How long a deleted secret can be brought back. Its name is taken for as long; 0 deletes at once, for sandboxes."
  default     = 30
  nullable    = false

  validation {
    condition     = var.recovery_window_in_days == 0 || (var.recovery_window_in_days >= 7 && var.recovery_window_in_days <= 30)
    error_message = "recovery_window_in_days is 7 to 30, or 0 to delete at once."
  }
}
