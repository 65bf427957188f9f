variable "name" {
  type        = string
  description = "The cluster's name."
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,22}[a-z0-9]$", var.name))
    error_message = "The name is lower case letters, digits and hyphens, starts with a letter and has 3 to 24 characters: mlops-prod."
  }
}

variable "project_id" {
  type        = string
  description = "The Google Cloud project's id."
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "The project_id is 6 to 30 lower case letters, digits and hyphens, and not the project's number."
  }
}

variable "region" {
  type        = string
  description = "The Google Cloud region, such as europe-west1."
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "The region is one such as europe-west1; europe-west1-b is a zone of it."
  }
}

variable "network_id" {
  type        = string
  description = "The network (output of network)."
  nullable    = false
}

variable "nodes_subnet_id" {
  type        = string
  description = "The subnet of the nodes, with ranges named pods and services (output of network)."
  nullable    = false
}

variable "registry_id" {
  type        = string
  description = "The repository that the nodes pull images from (output of registry)."
  nullable    = false
}

variable "admin_cidrs" {
  type        = map(string)
  description = "Who reaches the API's address: each place's name and its addresses in CIDR form."
  nullable    = false

  validation {
    condition     = length(var.admin_cidrs) > 0 && alltrue([for cidr in values(var.admin_cidrs) : can(cidrhost(cidr, 0)) && !endswith(cidr, "/0")])
    error_message = "Each place has addresses in CIDR form, and not the whole internet: admin_cidrs = { vpn = \"10.8.0.0/24\" }."
  }
}

variable "security_group" {
  type        = string
  description = "The Google group that holds the groups that roles in the cluster are bound to: gke-security-groups@ and your domain."
  nullable    = false

  validation {
    condition     = startswith(var.security_group, "gke-security-groups@")
    error_message = "GKE reads roles of one group only: gke-security-groups@ and your domain."
  }
}

variable "node_size" {
  type        = string
  description = "The machines' size."
  default     = "e2-standard-4"
  nullable    = false
}

variable "node_count" {
  type        = object({ min = number, max = number })
  description = "The fewest and the most nodes in each of the region's zones."
  default     = { min = 1, max = 2 }
  nullable    = false

  validation {
    condition     = var.node_count.min >= 1 && var.node_count.max >= var.node_count.min
    error_message = "There is at least 1 node in each zone, and max is not less than min."
  }
}
