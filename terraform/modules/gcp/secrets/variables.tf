variable "region" {
  type        = string
  description = "The Google Cloud region, such as europe-west1."
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "The region is one such as europe-west1; europe-west1-b is a zone of it."
  }
}

variable "secrets" {
  type        = map(string)
  description = "The platform's own secrets: each one's name and what it is for."
  nullable    = false

  validation {
    condition     = length(var.secrets) > 0 && alltrue([for name in keys(var.secrets) : can(regex("^[a-z][a-z0-9-]{1,60}$", name))])
    error_message = "A secret's name is lower case letters, digits and hyphens, and there is at least one: { mlflow-database = \"MLflow's password at the database\" }."
  }
}
