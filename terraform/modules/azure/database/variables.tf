variable "name" {
  type        = string
  description = "The server's name, unique in all of Azure."
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

variable "database_subnet_id" {
  type        = string
  description = "The subnet that PostgreSQL has to itself (output of network)."
  nullable    = false
}

variable "private_dns_zone_ids" {
  type        = map(string)
  description = "The private DNS zones by kind (output of network); it uses database."
  nullable    = false

  validation {
    condition     = contains(keys(var.private_dns_zone_ids), "database")
    error_message = "The private DNS zones have no database: pass private_dns_zone_ids of the network module."
  }
}

variable "administrator_password" {
  type        = string
  description = "The administrator's password; never in the state. Set TF_VAR_administrator_password."
  sensitive   = true
  ephemeral   = true
  nullable    = false

  validation {
    condition     = length(var.administrator_password) >= 24
    error_message = "The administrator's password has at least 24 characters: openssl rand -base64 24 makes one."
  }
}

variable "password_version" {
  type        = number
  description = "Raised by one when the password changes, as Terraform does not keep the password to compare with."
  default     = 1
  nullable    = false
}

variable "sku_name" {
  type        = string
  description = "The server's size."
  default     = "GP_Standard_D2ds_v5"
  nullable    = false

  validation {
    condition     = !startswith(var.sku_name, "B_")
    error_message = "Sizes that start with B_ cannot have a standby: choose one that starts with GP_ or MO_."
  }
}

variable "backup_days" {
  type        = number
  description = "For how many days back the database can be restored to any moment."
  default     = 14
  nullable    = false

  validation {
    condition     = var.backup_days >= 7 && var.backup_days <= 35
    error_message = "Backups are kept for 7 to 35 days."
  }
}
