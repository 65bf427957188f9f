variable "project_id" {
  type        = string
  description = "The Google Cloud project that holds and pays the platform."
  nullable    = false
}

variable "region" {
  type        = string
  description = "The Google Cloud region."
  default     = "europe-west1"
  nullable    = false
}

variable "name" {
  type        = string
  description = "The platform's name. The bucket's name, unique in all of Google Cloud, is made of it and the project's id."
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{3,18}[a-z0-9]$", var.name))
    error_message = "The name is lower case letters, digits and hyphens, starts with a letter and has 5 to 20 characters: contoso-mlops."
  }
}

variable "admin_cidrs" {
  type        = map(string)
  description = "Who reaches the cluster's API: each place's name and its addresses in CIDR form."
  nullable    = false
}

variable "security_group" {
  type        = string
  description = "The Google group that holds the groups of the cluster's roles: gke-security-groups@ and your domain."
  nullable    = false
}

variable "administrator_password" {
  type        = string
  description = "PostgreSQL's password; never in the state. Set TF_VAR_administrator_password."
  sensitive   = true
  ephemeral   = true
  nullable    = false
}
