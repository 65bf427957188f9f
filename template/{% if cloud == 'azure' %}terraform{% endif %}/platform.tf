variable "subscription_id" {
  type        = string
  description = "The subscription that holds and pays the project."
  nullable    = false
}

variable "resource_group_name" {
  type        = string
  description = "The resource group: the output of this name of the platform's root."
  nullable    = false
}

variable "location" {
  type        = string
  description = "The region: the output of this name of the platform's root."
  nullable    = false
}

variable "lake" {
  type        = object({ account = string, account_id = string })
  description = "Where the data goes: the output `lake` of the platform's root."
  nullable    = false
}

variable "cluster" {
  type        = object({ oidc_issuer = string })
  description = "Who vouches for the project's pods: the output `cluster` of the platform's root."
  nullable    = false
}

variable "vault_id" {
  type        = string
  description = "Where the secret goes: the output of this name of the platform's root."
  nullable    = false
}

variable "image_registry" {
  type        = string
  description = "Where the images are: the output of this name of the platform's root."
  nullable    = false
}
