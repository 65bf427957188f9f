output "name" {
  description = "The name of the cluster, for `aws eks update-kubeconfig --name`."
  value       = aws_eks_cluster.this.name
}

output "oidc_issuer" {
  description = "Who issues the identities of the pods."
  value       = aws_eks_cluster.this.identity[0].oidc[0].issuer
}

output "oidc_provider_arn" {
  description = "The same, as IAM knows it."
  value       = aws_iam_openid_connect_provider.this.arn
}

output "security_group_id" {
  description = "The security group of the nodes and pods, for what they may connect to."
  value       = aws_eks_cluster.this.vpc_config[0].cluster_security_group_id
}

output "file_system_id" {
  description = "The file system for the storage class of the volume `state`."
  value       = aws_efs_file_system.this.id
}
