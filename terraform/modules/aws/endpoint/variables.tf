variable "name" {
  type        = string
  description = "What the endpoint is called."
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9]*(-[a-z0-9]+)*$", var.name)) && length(var.name) <= 52
    error_message = "The name is lower case letters, digits and single hyphens, starts with a letter and has at most 52 characters: write something like flight-delays-staging."
  }
}

variable "package" {
  type        = string
  description = "The project's Python package: its name in capitals stands before each of its settings."
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9_]*$", var.package))
    error_message = "The package is a name of Python, such as flight_delays."
  }
}

variable "image" {
  type = object({
    repository_url = string
    repository_arn = string
    tag            = string
  })
  description = "The serving image: its repository, and its tag, a commit."
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$", var.image.tag)) && var.image.tag != "latest"
    error_message = "image.tag is the commit that the image was built from, such as 0a1b2c3; latest is no version."
  }
}

variable "model" {
  type = object({
    bucket  = string
    key     = string
    key_arn = string
  })
  description = "The archive of the bundle: its bucket, its key there, and the ARN of the key that encrypts the bucket."
  nullable    = false

  validation {
    condition     = can(regex("/[0-9]+-[0-9a-f]{12}[.]tar[.]gz$", var.model.key))
    error_message = "model.key ends in VERSION-DIGEST.tar.gz, as the bundle's folder is called, so that another bundle is another object: endpoint/3-0123456789ab.tar.gz."
  }
}

variable "network" {
  type = object({
    vpc_id                  = string
    subnet_ids              = list(string)
    cache_security_group_id = string
  })
  description = "Where it stands, and the security group of the online store, which lets it in."
  nullable    = false

  validation {
    condition     = length(var.network.subnet_ids) >= 2
    error_message = "network.subnet_ids are private subnets of at least two availability zones: one zone may be away."
  }
}

variable "settings" {
  type        = map(string)
  description = "More settings of the service by their names without the prefix, such as ONLINE_URL. SageMaker shows them to whoever may describe the model, and the state holds them."
  default     = {}
  sensitive   = true
  nullable    = false

  validation {
    condition     = alltrue([for name in keys(var.settings) : can(regex("^[A-Z][A-Z_]*$", name)) && !endswith(name, "_KEYS")])
    error_message = "A setting is written as in .env.example, in capitals and without the prefix. Keys are none of them: SageMaker sends none, and IAM says who may call."
  }
}

variable "instance_type" {
  type        = string
  description = "The kind of machine. One process fills one core: with more cores set WORKERS."
  default     = "ml.m5.large"
  nullable    = false

  validation {
    condition     = can(regex("^ml[.][a-z]+[0-9]+[a-ce-z]*[.]", var.instance_type))
    error_message = "instance_type begins with ml. and has no d in its family, such as ml.m5.large: SageMaker takes no key of ours for a local disk."
  }
}

variable "instances" {
  type        = number
  description = "How many machines answer."
  default     = 2
  nullable    = false

  validation {
    condition     = var.instances >= 1 && var.instances == floor(var.instances)
    error_message = "instances is a whole number, at least 1; with 2 each stands in a zone of its own."
  }
}

variable "kms_key_arn" {
  type        = string
  description = "The key that encrypts the machines' disks and the log: `key_arn` of the module `secrets`."
  nullable    = false

  validation {
    condition     = can(regex("^arn:[^:]+:kms:[^:]+:[0-9]{12}:key/", var.kms_key_arn))
    error_message = "kms_key_arn is the ARN of a key, not its id or alias: arn:aws:kms:REGION:ACCOUNT:key/ID."
  }
}
