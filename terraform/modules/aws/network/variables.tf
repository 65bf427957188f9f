variable "name" {
  type        = string
  description = "What the network is called."
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9]*(-[a-z0-9]+)*$", var.name)) && length(var.name) <= 40
    error_message = "The name is lower case letters, digits and single hyphens, starts with a letter and has at most 40 characters: write something like ml-staging."
  }
}

variable "cidr" {
  type        = string
  description = "The addresses of the network; each subnet gets a sixteenth of them."
  default     = "10.20.0.0/16"
  nullable    = false

  validation {
    condition     = can(cidrsubnet(var.cidr, 4, 0)) && can(regex("/(1[6-9]|20)$", var.cidr))
    error_message = "The cidr is a range of IPv4 addresses from /16 to /20, such as 10.20.0.0/16: every pod takes an address."
  }
}

variable "availability_zones" {
  type        = list(string)
  description = "The zones to have a subnet in. The order counts: add new ones at the end."
  nullable    = false

  validation {
    condition     = length(var.availability_zones) >= 2 && length(var.availability_zones) <= 4 && length(distinct(var.availability_zones)) == length(var.availability_zones)
    error_message = "Name two to four different zones, such as [\"eu-central-1a\", \"eu-central-1b\"]: one zone may be away."
  }
}

variable "endpoints" {
  type        = set(string)
  description = "The services of AWS that are reached from inside, besides S3. Each is paid for by the hour and zone."
  default = [
    "ec2", "ecr.api", "ecr.dkr", "eks", "elasticfilesystem", "elasticloadbalancing", "kinesis-streams", "kms", "logs",
    "secretsmanager", "sts",
  ]
  nullable = false

  validation {
    condition     = !contains(var.endpoints, "s3")
    error_message = "Leave s3 out of the endpoints: its gateway, which costs nothing, is always there."
  }
}

variable "kms_key_arn" {
  type        = string
  description = "The key that encrypts the flow log: `key_arn` of the module `secrets`."
  nullable    = false

  validation {
    condition     = can(regex("^arn:[^:]+:kms:[^:]+:[0-9]{12}:key/", var.kms_key_arn))
    error_message = "kms_key_arn is the ARN of a key, not its id or alias: arn:aws:kms:REGION:ACCOUNT:key/ID."
  }
}
