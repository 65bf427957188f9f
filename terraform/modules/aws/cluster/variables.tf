variable "name" {
  type        = string
  description = "What the cluster is called."
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

variable "kubernetes_version" {
  type        = string
  description = "The version of Kubernetes. EKS upgrades one minor version at a time."
  default     = "1.34"
  nullable    = false

  validation {
    condition     = can(regex("^1[.](3[1-9]|[4-9][0-9])$", var.kubernetes_version))
    error_message = "kubernetes_version is a minor version, 1.31 or later, such as 1.34."
  }
}

variable "admin_role_arns" {
  type        = set(string)
  description = "The IAM roles that administer the cluster. Whoever made it is not one of them by itself."
  nullable    = false

  validation {
    condition     = length(var.admin_role_arns) > 0 && alltrue([for arn in var.admin_role_arns : can(regex("^arn:[^:]+:iam::[0-9]{12}:role/", arn))])
    error_message = "Name at least one role, or nobody can reach the cluster: admin_role_arns = [\"arn:aws:iam::ACCOUNT:role/NAME\"]."
  }
}

variable "public_access_cidrs" {
  type        = set(string)
  description = "The networks that reach the API of Kubernetes from outside, such as the office's. None: it is private."
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for cidr in var.public_access_cidrs : can(cidrhost(cidr, 0)) && can(regex("/(1[6-9]|2[0-9]|3[0-2])$", cidr))])
    error_message = "public_access_cidrs are your own networks, each from /16 to /32, such as 192.0.2.0/24; the whole internet is not one of them."
  }
}

variable "instance_types" {
  type        = list(string)
  description = "The kinds of machines of the nodes: training takes 2 cores and 4 GiB."
  default     = ["m7i.large"]
  nullable    = false

  validation {
    condition     = length(var.instance_types) > 0
    error_message = "Name at least one instance type, such as m7i.large."
  }
}

variable "nodes" {
  type = object({
    min = number
    max = number
  })
  description = "How many nodes there are at least and at most."
  default     = { min = 2, max = 6 }
  nullable    = false

  validation {
    condition     = var.nodes.min >= 2 && var.nodes.max >= var.nodes.min
    error_message = "nodes.min is at least 2, since one node may be away, and nodes.max is not less."
  }
}

variable "kms_key_arn" {
  type        = string
  description = "The key that encrypts the cluster's secrets, its logs and the shared files: `key_arn` of the module `secrets`."
  nullable    = false

  validation {
    condition     = can(regex("^arn:[^:]+:kms:[^:]+:[0-9]{12}:key/", var.kms_key_arn))
    error_message = "kms_key_arn is the ARN of a key, not its id or alias: arn:aws:kms:REGION:ACCOUNT:key/ID."
  }
}
