variable "region" {
  type        = string
  description = "Where everything is: the platform's region."
  nullable    = false
}

variable "lake" {
  type        = object({ bucket = string, key_arn = string })
  description = "Where the data goes: the output `lake` of the platform's root."
  nullable    = false
}

variable "cluster" {
  type        = object({ oidc_provider_arn = string, oidc_issuer = string })
  description = "Who vouches for the project's pods: the output `cluster` of the platform's root."
  nullable    = false
}

variable "alarm_emails" {
  type        = set(string)
  description = "Who in the team is written to."
  nullable    = false
}
