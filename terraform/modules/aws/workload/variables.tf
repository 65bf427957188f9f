variable "project" {
  type        = string
  description = "The project's short name, its `project_slug`."
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9]*(-[a-z0-9]+)*$", var.project)) && length(var.project) <= 40
    error_message = "The project is its short name: lower case letters, digits and single hyphens, at most 40 characters, such as flight-delays."
  }
}

variable "environment" {
  type        = string
  description = "`staging` or `production`: the overlay that this is for."
  nullable    = false

  validation {
    condition     = contains(["staging", "production"], var.environment)
    error_message = "The environment is staging or production, as in k8s/overlays."
  }
}

variable "lake" {
  type = object({
    bucket  = string
    key_arn = string
  })
  description = "Where the data goes: the outputs `bucket` and `key_arn` of the module `lake`."
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
  description = "Who vouches for the project's pods: the outputs of these names of the module `cluster`."
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

variable "alarm_emails" {
  type        = set(string)
  description = "Who in the project's team is written to."
  nullable    = false

  validation {
    condition     = length(var.alarm_emails) > 0 && alltrue([for email in var.alarm_emails : can(regex("^[^@\\s]+@[^@\\s]+[.][^@\\s]+$", email))])
    error_message = "An alarm needs at least one reader, each an address: alarm_emails = [\"team@example.org\"]."
  }
}

variable "tables" {
  type = map(list(object({
    name = string
    type = string
  })))
  description = "The columns of each feature view, as the project's command prints them: `jsondecode(file(\"tables.json\"))`, made by `features list --json`."
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue(flatten([for columns in var.tables : [for column in columns : contains(["boolean", "float64", "int64", "string", "timestamp"], column.type)]]))
    error_message = "The type of a column is boolean, float64, int64, string or timestamp: make the file anew with `features list --json`."
  }

  validation {
    condition     = alltrue(flatten([for columns in var.tables : [for column in columns : column.name != "date"]]))
    error_message = "No column may be called date: that is the partition's name."
  }
}

variable "first_day" {
  type        = string
  description = "The first day of the feature store, the earliest partition that a query looks for."
  default     = "2013-01-01"
  nullable    = false

  validation {
    condition     = can(formatdate("YYYY-MM-DD", "${var.first_day}T00:00:00Z"))
    error_message = "first_day is a day, written like 2013-01-01."
  }
}

variable "streams" {
  type        = set(string)
  description = "The Kinesis streams to make, each paid for by the hour: `predictions`, which `predictions ship` publishes to; `events`, for a reader of your own."
  default     = []
  nullable    = false

  validation {
    condition     = length(setsubtract(var.streams, ["predictions", "events"])) == 0
    error_message = "The streams are predictions and events: streams = [\"predictions\"]."
  }
}

variable "package" {
  type        = string
  description = "The project's Python package, its `package_name`, where that is not the project's name with `_` for `-`."
  default     = ""
  nullable    = false
}

variable "endpoint" {
  type = object({
    image_tag = string
    bundle    = string
    network = object({
      vpc_id                  = string
      subnet_ids              = list(string)
      cache_security_group_id = string
    })
    instance_type = optional(string, "ml.m5.large")
    instances     = optional(number, 2)
  })
  description = "A SageMaker endpoint of the image `serve` of the commit `image_tag` with a bundle, by the name of its folder; none by default. `network` is an output of the platform's root."
  default     = null
  nullable    = true

  validation {
    condition     = var.endpoint == null || can(regex("^[0-9]+-[0-9a-f]{12}$", var.endpoint.bundle))
    error_message = "endpoint.bundle is the name of a bundle's folder, VERSION-DIGEST, such as 3-0123456789ab: `readlink .state/bundles/champion` prints it."
  }
}

variable "endpoint_settings" {
  type        = map(string)
  description = "Settings of the endpoint beside those that it always has, without their prefix: ONLINE_URL. They are in the state, and SageMaker shows them to whoever may describe the model."
  default     = {}
  sensitive   = true
  nullable    = false
}

variable "sandbox" {
  type        = bool
  description = "Whether `terraform destroy` deletes images and secrets for good, at once."
  default     = false
  nullable    = false
}
