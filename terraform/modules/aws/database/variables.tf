variable "name" {
  type        = string
  description = "What the database's machine is called."
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9]*(-[a-z0-9]+)*$", var.name)) && length(var.name) <= 40
    error_message = "The name is lower case letters, digits and single hyphens, starts with a letter and has at most 40 characters: write something like ml-staging."
  }
}

variable "vpc_id" {
  type        = string
  description = "The network to be in: `vpc_id` of the module `network`."
  nullable    = false
}

variable "subnet_ids" {
  type        = list(string)
  description = "The private subnets to be in: `subnet_ids` of the module `network`."
  nullable    = false

  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "Give subnets of at least two availability zones: one zone may be away."
  }
}

variable "client_security_group_id" {
  type        = string
  description = "Who may connect: `security_group_id` of the module `cluster`."
  nullable    = false
}

variable "postgres_version" {
  type        = string
  description = "The major version of PostgreSQL; RDS keeps the minor one current."
  default     = "17"
  nullable    = false

  validation {
    condition     = can(regex("^1[5-9]$", var.postgres_version))
    error_message = "postgres_version is a major version, 15 or later, such as 17."
  }
}

variable "instance_class" {
  type        = string
  description = "The kind of machine. MLflow asks little of it."
  default     = "db.t4g.medium"
  nullable    = false

  validation {
    condition     = startswith(var.instance_class, "db.")
    error_message = "instance_class begins with db., such as db.t4g.medium."
  }
}

variable "max_storage_gib" {
  type        = number
  description = "How far the disk may grow by itself, in GiB, from 20."
  default     = 100
  nullable    = false

  validation {
    condition     = var.max_storage_gib >= 26
    error_message = "max_storage_gib is at least 26: RDS grows a disk of 20 GiB by a quarter or more."
  }
}

variable "multi_az" {
  type        = bool
  description = "Whether a second machine in another zone stands by."
  default     = true
  nullable    = false
}

variable "deletion_protection" {
  type        = bool
  description = "Whether deleting is refused, and a last snapshot kept. Off in sandboxes only."
  default     = true
  nullable    = false
}

variable "kms_key_arn" {
  type        = string
  description = "The key that encrypts the disk, the backups and the password: `key_arn` of the module `secrets`."
  nullable    = false

  validation {
    condition     = can(regex("^arn:[^:]+:kms:[^:]+:[0-9]{12}:key/", var.kms_key_arn))
    error_message = "kms_key_arn is the ARN of a key, not its id or alias: arn:aws:kms:REGION:ACCOUNT:key/ID."
  }
}
