variable "name" {
  type        = string
  description = "The platform's name; the first part of the identity's."
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9]*(-[a-z0-9]+)*$", var.name)) && length(var.name) >= 3 && length(var.name) <= 23
    error_message = "The name is lower case letters, digits and single hyphens, starts with a letter and has 3 to 23 characters: write something like contoso-mlops."
  }
}

variable "lake" {
  type = object({
    bucket = string
  })
  description = "Where the artifacts go: the output of this name of the module `lake`."
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
  description = "Who vouches for the pods of MLflow: the output of this name of the module `cluster`."
  nullable    = false

  validation {
    condition     = endswith(var.cluster.workload_pool, ".svc.id.goog")
    error_message = "cluster.workload_pool is PROJECT_ID.svc.id.goog."
  }
}
