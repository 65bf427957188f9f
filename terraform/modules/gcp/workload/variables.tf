variable "project" {
  type        = string
  description = "The project's short name, its `project_slug`."
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9]*(-[a-z0-9]+)*$", var.project)) && length(var.project) <= 40
    error_message = "The project is its short name: lower case letters, digits and single hyphens, at most 40 characters, such as flight-delays."
  }
}

variable "environment" {
  type        = string
  description = "`staging` or `production`: the overlay that this is for."
  nullable    = false

  validation {
    condition     = contains(["staging", "production"], var.environment)
    error_message = "The environment is staging or production, as in k8s/overlays."
  }
}

variable "region" {
  type        = string
  description = "The Google Cloud region, such as europe-west1."
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "The region is one such as europe-west1; europe-west1-b is a zone of it."
  }
}

variable "lake" {
  type = object({
    bucket = string
  })
  description = "Where the data goes: the output of this name of the module `lake`."
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.lake.bucket))
    error_message = "lake.bucket is the name of a bucket, without gs:// and without a path."
  }
}

variable "cluster" {
  type = object({
    workload_pool = string
  })
  description = "Who vouches for the project's pods: the output of this name of the module `cluster`."
  nullable    = false

  validation {
    condition     = endswith(var.cluster.workload_pool, ".svc.id.goog")
    error_message = "cluster.workload_pool is PROJECT_ID.svc.id.goog."
  }
}

variable "image_registry" {
  type        = string
  description = "Where the images are: the output of this name of the module `registry`."
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9-]+-docker[.]pkg[.]dev/[^/]+/[^/]+$", var.image_registry))
    error_message = "image_registry is REGION-docker.pkg.dev/PROJECT_ID/REPOSITORY."
  }
}

variable "sandbox" {
  type        = bool
  description = "Whether `terraform destroy` deletes data and the secret for good, at once."
  default     = false
  nullable    = false
}
