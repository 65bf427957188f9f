variable "name" {
  type        = string
  description = "The platform's name; the first part of the role's."
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9]*(-[a-z0-9]+)*$", var.name)) && length(var.name) <= 52
    error_message = "The name is lower case letters, digits and single hyphens, starts with a letter and has at most 52 characters: write something like ml-staging."
  }
}

variable "lake" {
  type = object({
    bucket  = string
    key_arn = string
  })
  description = "Where the artifacts go: the outputs `bucket` and `key_arn` of the module `lake`."
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.lake.bucket))
    error_message = "lake.bucket is the name of a bucket, without s3:// and without a path."
  }

  validation {
    condition     = can(regex("^arn:[^:]+:kms:[^:]+:[0-9]{12}:key/", var.lake.key_arn))
    error_message = "lake.key_arn is the ARN of a key, not its id or alias: arn:aws:kms:REGION:ACCOUNT:key/ID."
  }
}

variable "cluster" {
  type = object({
    oidc_provider_arn = string
    oidc_issuer       = string
  })
  description = "Who vouches for the pods of MLflow: the outputs of these names of the module `cluster`."
  nullable    = false

  validation {
    condition     = can(regex("^arn:[^:]+:iam::[0-9]{12}:oidc-provider/", var.cluster.oidc_provider_arn))
    error_message = "cluster.oidc_provider_arn is arn:aws:iam::ACCOUNT:oidc-provider/HOST/PATH."
  }

  validation {
    condition     = can(regex("^https://[^/]+", var.cluster.oidc_issuer))
    error_message = "cluster.oidc_issuer is the address of the issuer, with https://."
  }
}
