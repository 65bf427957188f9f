variable "name" {
  type        = string
  description = "The platform's name; the first part of the identity's."
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9]*(-[a-z0-9]+)*$", var.name)) && length(var.name) >= 3 && length(var.name) <= 50
    error_message = "The name is lower case letters, digits and single hyphens, starts with a letter and has 3 to 50 characters: write something like contoso-mlops."
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

variable "lake" {
  type = object({
    account    = string
    account_id = string
  })
  description = "Where the artifacts go: the outputs `account` and `account_id` of the module `lake`."
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9]{3,24}$", var.lake.account))
    error_message = "lake.account is the storage account's name, without https:// and without a domain."
  }

  validation {
    condition     = can(regex("^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft.Storage/storageAccounts/", var.lake.account_id))
    error_message = "lake.account_id is /subscriptions/…/providers/Microsoft.Storage/storageAccounts/NAME."
  }
}

variable "cluster" {
  type = object({
    oidc_issuer = string
  })
  description = "Who vouches for the pods of MLflow: the output of this name of the module `cluster`."
  nullable    = false

  validation {
    condition     = can(regex("^https://[^/]+", var.cluster.oidc_issuer))
    error_message = "cluster.oidc_issuer is the address of the issuer, with https://."
  }
}
