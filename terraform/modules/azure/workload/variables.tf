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
  description = "Where the data goes: the outputs `account` and `account_id` of the module `lake`."
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
  description = "Who vouches for the project's pods: the output of this name of the module `cluster`."
  nullable    = false

  validation {
    condition     = can(regex("^https://[^/]+", var.cluster.oidc_issuer))
    error_message = "cluster.oidc_issuer is the address of the issuer, with https://."
  }
}

variable "vault_id" {
  type        = string
  description = "Where the secret goes: the output of this name of the module `secrets`."
  nullable    = false

  validation {
    condition     = can(regex("^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft.KeyVault/vaults/", var.vault_id))
    error_message = "vault_id is /subscriptions/…/providers/Microsoft.KeyVault/vaults/NAME."
  }
}

variable "image_registry" {
  type        = string
  description = "Where the images are: the output of this name of the module `registry`."
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9]+[.]azurecr[.]io$", var.image_registry))
    error_message = "image_registry is the registry's host, such as contosomlopsprod.azurecr.io."
  }
}
