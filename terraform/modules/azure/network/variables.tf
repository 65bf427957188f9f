variable "name" {
  type        = string
  description = "The platform's name, the first part of the names in it."
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

variable "address_space" {
  type        = string
  description = "The network's addresses: a /16, of which the nodes take a /20, private endpoints and the database a /24 each."
  default     = "10.20.0.0/16"
  nullable    = false

  validation {
    condition     = can(cidrhost(var.address_space, 0)) && endswith(var.address_space, "/16")
    error_message = "The address space is a /16 in CIDR form, such as 10.20.0.0/16."
  }
}
