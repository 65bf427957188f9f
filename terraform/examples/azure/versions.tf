terraform {
  required_version = ">= 1.11, < 2.0"

  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = "~> 4.55"
    }
  }

  # The state is a blob: encrypted, versioned, and locked by a lease while somebody applies. `bootstrap` makes its account.
  # terraform init -backend-config=storage_account_name=NAME -backend-config=resource_group_name=GROUP
  backend "azurerm" {
    container_name   = "terraform"
    key              = "platform.tfstate"
    use_azuread_auth = true
  }
}

provider "azurerm" {
  # The storage account takes no keys, so that the provider uses an identity for data as well.
  storage_use_azuread = true
  subscription_id     = var.subscription_id

  features {}
}
