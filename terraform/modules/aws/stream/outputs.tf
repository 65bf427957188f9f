output "names" {
  description = "The full name of each stream, by its name in `streams`."
  value       = { for key, stream in aws_kinesis_stream.this : key => stream.name }
}

output "arns" {
  description = "The ARN of each stream, by its name in `streams`."
  value       = { for key, stream in aws_kinesis_stream.this : key => stream.arn }
}

output "alarms" {
  description = "What to watch, for the module `alarms`: writers that are turned away."
  value = {
    for key, stream in aws_kinesis_stream.this : "${key}-throttled" => {
      description = "Writers to ${stream.name} are turned away: add shards"
      namespace   = "AWS/Kinesis"
      metric      = "WriteProvisionedThroughputExceeded"
      dimensions  = { StreamName = stream.name }
      statistic   = "Sum"
      comparison  = "GreaterThanThreshold"
      threshold   = 0
    }
  }
}
