variable "name" {
  type        = string
  description = "The platform's name, the first part of the names in it."
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,22}[a-z0-9]$", var.name))
    error_message = "The name is lower case letters, digits and hyphens, starts with a letter and has 3 to 24 characters: mlops-prod."
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

variable "address_space" {
  type        = string
  description = "The network's addresses: a /16, of which the nodes take a /20, services a /20 and the database a /20."
  default     = "10.20.0.0/16"
  nullable    = false

  validation {
    condition     = can(cidrhost(var.address_space, 0)) && endswith(var.address_space, "/16")
    error_message = "The address space is a /16 in CIDR form, such as 10.20.0.0/16."
  }
}

variable "pods_address_space" {
  type        = string
  description = "The pods' addresses, a /16 apart from the network's."
  default     = "10.21.0.0/16"
  nullable    = false

  validation {
    condition     = can(cidrhost(var.pods_address_space, 0)) && endswith(var.pods_address_space, "/16") && var.pods_address_space != var.address_space
    error_message = "The pods' address space is a /16 in CIDR form other than the network's, such as 10.21.0.0/16."
  }
}
