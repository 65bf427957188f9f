variable "region" {
  type        = string
  description = "Where the state is."
  default     = "eu-central-1"
  nullable    = false
}

variable "name" {
  type        = string
  description = "What stands before the bucket's name."
  default     = "ml"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9]*(-[a-z0-9]+)*$", var.name)) && length(var.name) <= 40
    error_message = "The name is lower case letters, digits and single hyphens, starts with a letter and has at most 40 characters: write something like ml."
  }
}
