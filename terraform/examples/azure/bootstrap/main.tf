# The account of the Terraform state itself, applied once, with a state on the disk of who applies it.

terraform {
  required_version = ">= 1.11, < 2.0"

  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = "~> 4.55"
    }
  }
}

variable "subscription_id" {
  type        = string
  description = "The subscription that holds the state."
}

variable "name" {
  type        = string
  description = "The storage account's name, unique in all of Azure."

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{4,23}$", var.name))
    error_message = "The name is lower case letters and digits, starts with a letter and has 5 to 24 characters: contosomlopsstate."
  }
}

variable "location" {
  type        = string
  description = "The Azure region."
  default     = "westeurope"
}

provider "azurerm" {
  storage_use_azuread = true
  subscription_id     = var.subscription_id

  features {}
}

resource "azurerm_resource_group" "this" {
  name     = var.name
  location = var.location
}

resource "azurerm_storage_account" "this" {
  #checkov:skip=CKV_AZURE_33:the account has no queues
  #checkov:skip=CKV_AZURE_59:people and pipelines apply from outside the network, with an identity; no key is taken
  #checkov:skip=CKV2_AZURE_1:keys are Microsoft's, with a second layer of encryption
  #checkov:skip=CKV2_AZURE_33:people and pipelines apply from outside the network, with an identity; no key is taken
  #checkov:skip=CKV2_AZURE_40:shared keys are off, so there is nothing to sign SAS tokens with
  #checkov:skip=CKV2_AZURE_41:shared keys are off, so there is nothing to sign SAS tokens with
  name                = var.name
  resource_group_name = azurerm_resource_group.this.name
  location            = var.location

  account_tier                      = "Standard"
  account_replication_type          = "GZRS"
  min_tls_version                   = "TLS1_2"
  https_traffic_only_enabled        = true
  shared_access_key_enabled         = false
  local_user_enabled                = false
  allow_nested_items_to_be_public   = false
  infrastructure_encryption_enabled = true

  blob_properties {
    versioning_enabled = true

    delete_retention_policy {
      days = 90
    }
  }

  lifecycle {
    prevent_destroy = true
  }
}

resource "azurerm_storage_container" "this" {
  #checkov:skip=CKV2_AZURE_21:who read the state is in the account's diagnostic logs where an audit asks for them
  name                  = "terraform"
  storage_account_id    = azurerm_storage_account.this.id
  container_access_type = "private"
}
