variable "project_id" {
  type        = string
  description = "The Google Cloud project: the output of this name of the platform's root."
  nullable    = false
}

variable "region" {
  type        = string
  description = "The region: the output of this name of the platform's root."
  nullable    = false
}

variable "lake" {
  type        = object({ bucket = string })
  description = "Where the data goes: the output `lake` of the platform's root."
  nullable    = false
}

variable "cluster" {
  type        = object({ workload_pool = string })
  description = "Who vouches for the project's pods: the output `cluster` of the platform's root."
  nullable    = false
}

variable "image_registry" {
  type        = string
  description = "Where the images are: the output of this name of the platform's root."
  nullable    = false
}
