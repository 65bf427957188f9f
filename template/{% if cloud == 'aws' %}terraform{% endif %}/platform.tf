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

variable "streams" {
  type        = set(string)
  description = "The Kinesis streams to make, each paid for by the hour: `predictions`, which `predictions ship` publishes to."
  default     = []
  nullable    = false
}

variable "endpoint" {
  type = object({
    image_tag     = string
    bundle        = string
    network       = object({ vpc_id = string, subnet_ids = list(string), cache_security_group_id = string })
    instance_type = optional(string, "ml.m5.large")
    instances     = optional(number, 2)
  })
  description = "The SageMaker endpoint, where there is to be one. `network` is an output of the platform's root."
  default     = null
}

variable "endpoint_settings" {
  type        = map(string)
  description = "Settings of the endpoint's container without their prefix, from the environment as TF_VAR_endpoint_settings: ONLINE_URL."
  default     = {}
  sensitive   = true
  nullable    = false
}
