variable "environment" {
  type        = string
  description = "`staging` or `production`: the overlay that this is for."
  nullable    = false

  validation {
    condition     = contains(["staging", "production"], var.environment)
    error_message = "The environment is staging or production: give -var-file=environments/staging.tfvars, or that of production."
  }
}
