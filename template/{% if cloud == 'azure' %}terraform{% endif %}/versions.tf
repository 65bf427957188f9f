terraform {
  required_version = ">= 1.11, < 2.0"

  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = "~> 4.55"
    }
  }

  # The state holds no secret's value, and is encrypted and locked all the same. Where: environments/*.tfbackend
  backend "azurerm" {
    use_azuread_auth = true
  }
}

provider "azurerm" {
  # The lake takes no keys, so that the provider uses an identity for data as well.
  storage_use_azuread = true
  subscription_id     = var.subscription_id

  features {}
}
