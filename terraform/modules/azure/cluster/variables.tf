variable "name" {
  type        = string
  description = "The cluster's name."
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,22}[a-z0-9]$", var.name))
    error_message = "The name is lower case letters, digits and hyphens, starts with a letter and has 3 to 24 characters: mlops-prod."
  }
}

variable "resource_group_name" {
  type        = string
  description = "The resource group that holds it; it exists already."
  nullable    = false
}

variable "location" {
  type        = string
  description = "The Azure region, such as westeurope."
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]+[0-9]?$", var.location))
    error_message = "The location is a region's short name, lower case and without spaces: westeurope, not West Europe."
  }
}

variable "tags" {
  type        = map(string)
  description = "Tags of every resource: who owns it, and who pays."
  default     = {}
  nullable    = false
}

variable "nodes_subnet_id" {
  type        = string
  description = "The subnet of the nodes (output of network)."
  nullable    = false
}

variable "registry_id" {
  type        = string
  description = "The registry that the nodes pull images from (output of registry)."
  nullable    = false
}

variable "kubernetes_version" {
  type        = string
  description = "The Kubernetes minor; Azure picks its newest patch."
  default     = "1.35"
  nullable    = false

  validation {
    condition     = can(regex("^1[.][0-9]{2}$", var.kubernetes_version))
    error_message = "The Kubernetes version is a minor without its patch, such as 1.35."
  }
}

variable "admin_group_ids" {
  type        = list(string)
  description = "Object ids of the Entra groups whose members administer the cluster; local accounts are off."
  nullable    = false

  validation {
    condition     = length(var.admin_group_ids) > 0
    error_message = "Name at least one Entra group: local accounts are off, so that without one nobody could administer the cluster."
  }
}

variable "node_size" {
  type        = string
  description = "The machines' size; one with a temporary disk, which the system's disk is put on."
  default     = "Standard_D4ds_v5"
  nullable    = false
}

variable "node_count" {
  type        = object({ min = number, max = number })
  description = "The fewest and the most nodes."
  default     = { min = 3, max = 6 }
  nullable    = false

  validation {
    condition     = var.node_count.min >= 3 && var.node_count.max >= var.node_count.min
    error_message = "There are at least 3 nodes, one in each zone, and max is not less than min."
  }
}
