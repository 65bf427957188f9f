output "security_group_id" {
  description = "The security group of Redis, which lets in whoever has a rule there."
  value       = aws_security_group.this.id
}

output "endpoint" {
  description = "HOST:PORT of the writer. ONLINE_URL is `rediss://:TOKEN@HOST:PORT/0`."
  value       = "${aws_elasticache_replication_group.this.primary_endpoint_address}:${aws_elasticache_replication_group.this.port}"
}

output "alarms" {
  description = "What to watch, for the module `alarms`: memory that fills, after which publishing fails."
  value = {
    # ElastiCache numbers the machines of a group so.
    for machine in ["001", "002"] : "cache-memory-${machine}" => {
      description = "The memory of ${var.name} is nearly full: take a larger node_type"
      namespace   = "AWS/ElastiCache"
      metric      = "DatabaseMemoryUsagePercentage"
      dimensions  = { CacheClusterId = "${aws_elasticache_replication_group.this.replication_group_id}-${machine}" }
      statistic   = "Maximum"
      comparison  = "GreaterThanThreshold"
      threshold   = 80
    }
  }
}
