output "name" {
  description = "The endpoint, for `aws sagemaker-runtime invoke-endpoint --endpoint-name`."
  value       = aws_sagemaker_endpoint.this.name
}

output "arn" {
  description = "Its ARN: who may call it is who may `sagemaker:InvokeEndpoint` on this."
  value       = aws_sagemaker_endpoint.this.arn
}

output "alarms" {
  description = "What to watch, for the module `alarms`: answers that are errors."
  value = {
    endpoint-errors = {
      description = "The endpoint ${aws_sagemaker_endpoint.this.name} answers with errors: look into its log group"
      namespace   = "AWS/SageMaker"
      metric      = "Invocation5XXErrors"
      dimensions  = { EndpointName = aws_sagemaker_endpoint.this.name, VariantName = "champion" }
      statistic   = "Sum"
      comparison  = "GreaterThanThreshold"
      threshold   = 0
    }
  }
}
