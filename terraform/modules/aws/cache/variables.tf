variable "name" {
  type        = string
  description = "What the group of machines is called."
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

variable "auth_token" {
  type        = string
  description = "The password, from the environment as `TF_VAR_cache_auth_token`. It is in the state, which is encrypted: ElastiCache takes it no other way."
  sensitive   = true
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9]{32,128}$", var.auth_token))
    error_message = "The auth_token is 32 to 128 letters and digits, such as `openssl rand -hex 32` prints: other characters would have to be escaped in ONLINE_URL."
  }
}

variable "node_type" {
  type        = string
  description = "The kind of machine; its memory must hold the last row of every key of every view."
  default     = "cache.t4g.small"
  nullable    = false

  validation {
    condition     = startswith(var.node_type, "cache.")
    error_message = "node_type begins with cache., such as cache.t4g.small."
  }
}

variable "kms_key_arn" {
  type        = string
  description = "The key that encrypts what is on disk: `key_arn` of the module `secrets`."
  nullable    = false

  validation {
    condition     = can(regex("^arn:[^:]+:kms:[^:]+:[0-9]{12}:key/", var.kms_key_arn))
    error_message = "kms_key_arn is the ARN of a key, not its id or alias: arn:aws:kms:REGION:ACCOUNT:key/ID."
  }
}
