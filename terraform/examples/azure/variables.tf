variable "subscription_id" {
  type        = string
  description = "The subscription that holds and pays the platform."
  nullable    = false

  validation {
    condition     = can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", var.subscription_id))
    error_message = "The subscription is its id, as `az account show --query id` prints it."
  }
}

variable "name" {
  type        = string
  description = "The platform's name. Names that are unique in all of Azure are made of it: put your company in it."
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{3,18}[a-z0-9]$", var.name))
    error_message = "The name is lower case letters, digits and hyphens, starts with a letter and has 5 to 20 characters: contoso-mlops."
  }
}

variable "location" {
  type        = string
  description = "The Azure region; one with zones."
  default     = "westeurope"
  nullable    = false
}

variable "admin_group_ids" {
  type        = list(string)
  description = "Object ids of the Entra groups that administer the cluster."
  nullable    = false
}

variable "administrator_password" {
  type        = string
  description = "PostgreSQL's password; never in the state. Set TF_VAR_administrator_password."
  sensitive   = true
  ephemeral   = true
  nullable    = false
}
