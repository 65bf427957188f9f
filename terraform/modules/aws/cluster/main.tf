# The Kubernetes cluster: EKS with managed nodes, an issuer for the identities of the pods, and the file system that the
# pods of a project share (the volume `state`).

data "aws_partition" "current" {}

locals {
  partition = data.aws_partition.current.partition
  policies  = "arn:${local.partition}:iam::aws:policy"
  issuer    = trimprefix(aws_eks_cluster.this.identity[0].oidc[0].issuer, "https://")

  # What the add-ons do in AWS, each in a role of its own and not in that of the nodes.
  addon_roles = {
    vpc-cni            = { account = "aws-node", policy = "AmazonEKS_CNI_Policy" }
    aws-efs-csi-driver = { account = "efs-csi-controller-sa", policy = "service-role/AmazonEFSCSIDriverPolicy" }
  }
}

# Before the cluster, or EKS makes the group itself: unencrypted, and kept for ever.
resource "aws_cloudwatch_log_group" "this" {
  name              = "/aws/eks/${var.name}/cluster"
  retention_in_days = 365
  kms_key_id        = var.kms_key_arn
}

resource "aws_iam_role" "cluster" {
  name        = "${var.name}-cluster"
  description = "What the control plane of ${var.name} does in AWS"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "eks.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role_policy_attachment" "cluster" {
  role       = aws_iam_role.cluster.name
  policy_arn = "${local.policies}/AmazonEKSClusterPolicy"
}

resource "aws_iam_role_policy" "cluster" {
  name = "encryption"
  role = aws_iam_role.cluster.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = "EncryptSecrets"
      Effect   = "Allow"
      Action   = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:ListGrants"]
      Resource = var.kms_key_arn
    }]
  })
}

resource "aws_eks_cluster" "this" {
  #checkov:skip=CKV_AWS_38:The API is public only to the networks of public_access_cidrs, which refuses 0.0.0.0/0
  #checkov:skip=CKV_AWS_39:The API is private unless public_access_cidrs names who may reach it
  name                          = var.name
  role_arn                      = aws_iam_role.cluster.arn
  version                       = var.kubernetes_version
  bootstrap_self_managed_addons = false
  enabled_cluster_log_types     = ["api", "audit", "authenticator", "controllerManager", "scheduler"]

  # Who may do what is in the access entries below: in Terraform, not in a ConfigMap of the cluster.
  access_config {
    authentication_mode                         = "API"
    bootstrap_cluster_creator_admin_permissions = false
  }

  encryption_config {
    resources = ["secrets"]

    provider {
      key_arn = var.kms_key_arn
    }
  }

  vpc_config {
    subnet_ids              = var.subnet_ids
    endpoint_private_access = true
    endpoint_public_access  = length(var.public_access_cidrs) > 0
    public_access_cidrs     = length(var.public_access_cidrs) > 0 ? var.public_access_cidrs : null
  }

  depends_on = [aws_cloudwatch_log_group.this, aws_iam_role_policy.cluster, aws_iam_role_policy_attachment.cluster]
}

resource "aws_eks_access_entry" "admin" {
  for_each = var.admin_role_arns

  cluster_name  = aws_eks_cluster.this.name
  principal_arn = each.value
}

resource "aws_eks_access_policy_association" "admin" {
  for_each = var.admin_role_arns

  cluster_name  = aws_eks_cluster.this.name
  principal_arn = aws_eks_access_entry.admin[each.key].principal_arn
  policy_arn    = "arn:${local.partition}:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"

  access_scope {
    type = "cluster"
  }
}

# Lets IAM believe what the cluster says about its service accounts.
resource "aws_iam_openid_connect_provider" "this" {
  url            = aws_eks_cluster.this.identity[0].oidc[0].issuer
  client_id_list = ["sts.amazonaws.com"]
}

resource "aws_iam_role" "nodes" {
  name        = "${var.name}-nodes"
  description = "What the nodes of ${var.name} do in AWS: join the cluster and pull images"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "ec2.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role_policy_attachment" "nodes" {
  for_each = toset(["AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryPullOnly"])

  role       = aws_iam_role.nodes.name
  policy_arn = "${local.policies}/${each.value}"
}

# Pods cannot reach the node's identity: a token of IMDSv2 does not get past the first hop.
resource "aws_launch_template" "nodes" {
  name        = "${var.name}-nodes"
  description = "Nodes of ${var.name}"

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  block_device_mappings {
    device_name = "/dev/xvda"

    ebs {
      volume_type           = "gp3"
      volume_size           = 50
      encrypted             = true
      delete_on_termination = true
    }
  }
}

resource "aws_eks_node_group" "this" {
  cluster_name    = aws_eks_cluster.this.name
  node_group_name = "general"
  node_role_arn   = aws_iam_role.nodes.arn
  subnet_ids      = var.subnet_ids
  instance_types  = var.instance_types

  launch_template {
    id      = aws_launch_template.nodes.id
    version = aws_launch_template.nodes.latest_version
  }

  scaling_config {
    min_size     = var.nodes.min
    max_size     = var.nodes.max
    desired_size = var.nodes.min
  }

  update_config {
    max_unavailable = 1
  }

  # How many there are now is the autoscaler's to say.
  lifecycle {
    ignore_changes = [scaling_config[0].desired_size]
  }

  depends_on = [aws_iam_role_policy_attachment.nodes, aws_eks_addon.network]
}

resource "aws_iam_role" "addon" {
  for_each = local.addon_roles

  name        = "${var.name}-${each.key}"
  description = "What the add-on ${each.key} of ${var.name} does in AWS"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Federated = aws_iam_openid_connect_provider.this.arn }
      Action    = "sts:AssumeRoleWithWebIdentity"
      Condition = {
        StringEquals = {
          "${local.issuer}:aud" = "sts.amazonaws.com"
          "${local.issuer}:sub" = "system:serviceaccount:kube-system:${each.value.account}"
        }
      }
    }]
  })
}

resource "aws_iam_role_policy_attachment" "addon" {
  for_each = local.addon_roles

  role       = aws_iam_role.addon[each.key].name
  policy_arn = "${local.policies}/${each.value.policy}"
}

# Before the nodes, which are not ready without a network. It enforces the network policies of k8s/.
resource "aws_eks_addon" "network" {
  cluster_name                = aws_eks_cluster.this.name
  addon_name                  = "vpc-cni"
  service_account_role_arn    = aws_iam_role.addon["vpc-cni"].arn
  configuration_values        = jsonencode({ enableNetworkPolicy = "true" })
  resolve_conflicts_on_update = "OVERWRITE"

  depends_on = [aws_iam_role_policy_attachment.addon]
}

# Names, service addresses, what the autoscaling of pods measures, and the shared volume.
resource "aws_eks_addon" "this" {
  for_each = toset(["aws-efs-csi-driver", "coredns", "kube-proxy", "metrics-server"])

  cluster_name                = aws_eks_cluster.this.name
  addon_name                  = each.value
  service_account_role_arn    = try(aws_iam_role.addon[each.value].arn, null)
  resolve_conflicts_on_update = "OVERWRITE"

  depends_on = [aws_eks_node_group.this, aws_iam_role_policy_attachment.addon]
}

# The file system behind the volume `state` of each project; the driver makes a folder for each claim.
resource "aws_efs_file_system" "this" {
  creation_token  = var.name
  encrypted       = true
  kms_key_id      = var.kms_key_arn
  throughput_mode = "elastic"
  tags            = { Name = var.name }

  lifecycle_policy {
    transition_to_ia = "AFTER_30_DAYS"
  }
}

resource "aws_efs_backup_policy" "this" {
  file_system_id = aws_efs_file_system.this.id

  backup_policy {
    status = "ENABLED"
  }
}

resource "aws_efs_file_system_policy" "this" {
  file_system_id = aws_efs_file_system.this.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        # A policy that only denies would leave the default, which lets everybody mount, without effect.
        Sid       = "MountFromTheNetwork"
        Effect    = "Allow"
        Principal = "*"
        Action    = ["elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"]
        Resource  = aws_efs_file_system.this.arn
        Condition = { Bool = { "elasticfilesystem:AccessedViaMountTarget" = "true" } }
      },
      {
        Sid       = "TlsOnly"
        Effect    = "Deny"
        Principal = "*"
        Action    = "elasticfilesystem:*"
        Resource  = aws_efs_file_system.this.arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  })
}

resource "aws_security_group" "files" {
  name        = "${var.name}-files"
  description = "NFS from the cluster to its file system"
  vpc_id      = var.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "files" {
  security_group_id            = aws_security_group.files.id
  description                  = "NFS from the cluster"
  referenced_security_group_id = aws_eks_cluster.this.vpc_config[0].cluster_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = 2049
  to_port                      = 2049
}

resource "aws_efs_mount_target" "this" {
  count = length(var.subnet_ids)

  file_system_id  = aws_efs_file_system.this.id
  subnet_id       = var.subnet_ids[count.index]
  security_groups = [aws_security_group.files.id]
}
