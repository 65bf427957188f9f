variable "name" {
  type        = string
  description = "What stands before each stream's name."
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9]*(-[a-z0-9]+)*$", var.name)) && length(var.name) <= 100
    error_message = "The name is lower case letters, digits and single hyphens, starts with a letter and has at most 100 characters: write something like ml-staging."
  }
}

variable "streams" {
  type        = set(string)
  description = "The streams to make."
  default     = ["predictions"]
  nullable    = false

  validation {
    condition     = alltrue([for name in var.streams : can(regex("^[a-z][a-z0-9-]*$", name))])
    error_message = "The name of a stream is lower case letters, digits and hyphens: streams = [\"predictions\"]."
  }
}

variable "shards" {
  type        = number
  description = "The width of each stream: a shard takes 1,000 records or 1 MB a second."
  default     = 1
  nullable    = false

  validation {
    condition     = var.shards >= 1 && var.shards <= 100 && var.shards == floor(var.shards)
    error_message = "shards is a whole number from 1 to 100; a shard takes 1,000 records a second, and each is paid for by the hour."
  }
}

variable "retention_hours" {
  type        = number
  description = "How long a record can be read again: longer than a reader may be down over a weekend."
  default     = 168
  nullable    = false

  validation {
    condition     = var.retention_hours >= 24 && var.retention_hours <= 8760 && var.retention_hours == floor(var.retention_hours)
    error_message = "retention_hours is a whole number from 24 (a day) to 8760 (a year)."
  }
}

variable "kms_key_arn" {
  type        = string
  description = "The key that encrypts the records: `key_arn` of the module `secrets`."
  nullable    = false

  validation {
    condition     = can(regex("^arn:[^:]+:kms:[^:]+:[0-9]{12}:key/", var.kms_key_arn))
    error_message = "kms_key_arn is the ARN of a key, not its id or alias: arn:aws:kms:REGION:ACCOUNT:key/ID."
  }
}
