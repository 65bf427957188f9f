# Kinesis data streams: what the service predicted, for whoever reads a stream and not the lake.

resource "aws_kinesis_stream" "this" {
  for_each = var.streams

  name             = "${var.name}-${each.value}"
  shard_count      = var.shards
  retention_period = var.retention_hours
  encryption_type  = "KMS"
  kms_key_id       = var.kms_key_arn

  stream_mode_details {
    stream_mode = "PROVISIONED"
  }
}
