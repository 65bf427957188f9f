variable "name" {
  type        = string
  description = "The vault's name, unique in all of Azure."
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

variable "endpoints_subnet_id" {
  type        = string
  description = "The subnet of its private endpoint (output of network)."
  nullable    = false
}

variable "private_dns_zone_ids" {
  type        = map(string)
  description = "The private DNS zones by kind (output of network); it uses vault."
  nullable    = false

  validation {
    condition     = contains(keys(var.private_dns_zone_ids), "vault")
    error_message = "The private DNS zones have no vault: pass private_dns_zone_ids of the network module."
  }
}
