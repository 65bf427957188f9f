variable "name" {
  type        = string
  description = "What the topic is called; the first part of each alarm's name."
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9]*(-[a-z0-9]+)*$", var.name)) && length(var.name) <= 64
    error_message = "The name is lower case letters, digits and single hyphens, starts with a letter and has at most 64 characters: write something like ml-staging."
  }
}

variable "emails" {
  type        = set(string)
  description = "Who is written to."
  nullable    = false

  validation {
    condition     = length(var.emails) > 0 && alltrue([for email in var.emails : can(regex("^[^@\\s]+@[^@\\s]+[.][^@\\s]+$", email))])
    error_message = "An alarm needs at least one reader, each an address: emails = [\"team@example.org\"]."
  }
}

variable "alarms" {
  type = map(object({
    description = string
    namespace   = string
    metric      = string
    dimensions  = map(string)
    statistic   = string
    comparison  = string
    threshold   = number
  }))
  description = "The alarms by name, as the modules' outputs `alarms` give them: raised after ten minutes, and ended by an all-clear."
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for alarm in var.alarms : contains(["GreaterThanThreshold", "LessThanThreshold"], alarm.comparison)])
    error_message = "The comparison of an alarm is GreaterThanThreshold or LessThanThreshold."
  }

  validation {
    condition     = alltrue([for alarm in var.alarms : contains(["Average", "Maximum", "Minimum", "Sum"], alarm.statistic)])
    error_message = "The statistic of an alarm is Average, Maximum, Minimum or Sum."
  }
}

variable "kms_key_arn" {
  type        = string
  description = "The key that encrypts the messages: `key_arn` of the module `secrets`."
  nullable    = false

  validation {
    condition     = can(regex("^arn:[^:]+:kms:[^:]+:[0-9]{12}:key/", var.kms_key_arn))
    error_message = "kms_key_arn is the ARN of a key, not its id or alias: arn:aws:kms:REGION:ACCOUNT:key/ID."
  }
}
