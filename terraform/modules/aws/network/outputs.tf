output "vpc_id" {
  description = "The network."
  value       = aws_vpc.this.id
}

output "subnet_ids" {
  description = "The private subnets, in the order of `availability_zones`."
  value       = [for zone in var.availability_zones : aws_subnet.private[zone].id]
}
