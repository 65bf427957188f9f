# moto knows no access entries and no add-ons, and forgets what a cluster was made with: this is all that tests them.

mock_provider "aws" {
  source = "../mocks"
}

variables {
  name            = "ml-test"
  admin_role_arns = ["arn:aws:iam::123456789012:role/admin"]
  vpc_id          = "vpc-12345678"
  subnet_ids      = ["subnet-1", "subnet-2"]
  kms_key_arn     = "arn:aws:kms:eu-central-1:123456789012:key/given"
}

run "makes" {
  assert {
    condition     = aws_eks_cluster.this.vpc_config[0].endpoint_private_access && !aws_eks_cluster.this.vpc_config[0].endpoint_public_access
    error_message = "The API is private unless a network is named."
  }

  assert {
    condition     = aws_eks_cluster.this.encryption_config[0].provider[0].key_arn == var.kms_key_arn && length(aws_eks_cluster.this.enabled_cluster_log_types) == 5
    error_message = "Secrets are encrypted with the given key, and everything is logged."
  }

  assert {
    condition     = aws_eks_cluster.this.access_config[0].authentication_mode == "API" && !aws_eks_cluster.this.access_config[0].bootstrap_cluster_creator_admin_permissions
    error_message = "Who made the cluster does not administer it by that."
  }

  assert {
    condition     = keys(aws_eks_access_policy_association.admin) == ["arn:aws:iam::123456789012:role/admin"]
    error_message = "The named roles administer it."
  }

  assert {
    condition     = aws_launch_template.nodes.metadata_options[0].http_tokens == "required" && aws_launch_template.nodes.metadata_options[0].http_put_response_hop_limit == 1
    error_message = "The nodes have IMDSv2 only, out of the reach of pods."
  }

  assert {
    condition     = aws_launch_template.nodes.block_device_mappings[0].ebs[0].encrypted == "true"
    error_message = "The disks of the nodes are encrypted."
  }

  assert {
    condition     = jsondecode(aws_eks_addon.network.configuration_values).enableNetworkPolicy == "true"
    error_message = "Network policies are enforced."
  }

  assert {
    condition     = jsondecode(aws_iam_role.addon["aws-efs-csi-driver"].assume_role_policy).Statement[0].Condition.StringEquals["oidc.example.org/cluster:sub"] == "system:serviceaccount:kube-system:efs-csi-controller-sa"
    error_message = "The driver's role is for its own service account."
  }

  assert {
    condition     = aws_efs_file_system.this.encrypted && aws_efs_file_system.this.kms_key_id == var.kms_key_arn && length(aws_efs_mount_target.this) == 2
    error_message = "The shared files are encrypted, and there is a way to them in each zone."
  }

  assert {
    condition     = [for statement in jsondecode(aws_efs_file_system_policy.this.policy).Statement : statement.Condition.Bool["aws:SecureTransport"] if statement.Effect == "Deny"] == ["false"]
    error_message = "The shared files are reached over TLS only."
  }
}

# A plan does not know these policies yet, so that the test of the whole example cannot read them.
run "allows_nothing_on_everything" {
  assert {
    condition = alltrue([
      for statement in concat(
        jsondecode(aws_iam_role_policy.cluster.policy).Statement,
        jsondecode(aws_efs_file_system_policy.this.policy).Statement,
        flatten([for role in aws_iam_role.addon : jsondecode(role.assume_role_policy).Statement]),
      ) : statement.Effect == "Deny" || !strcontains(jsonencode([statement.Action, try(statement.Resource, "")]), "*")
    ])
    error_message = "A policy of the cluster allows any action, or something on any resource."
  }
}

run "opens_to_a_network" {
  command = plan

  variables {
    public_access_cidrs = ["192.0.2.0/24"]
  }

  assert {
    condition     = aws_eks_cluster.this.vpc_config[0].endpoint_public_access && aws_eks_cluster.this.vpc_config[0].public_access_cidrs == toset(["192.0.2.0/24"])
    error_message = "The API is reached from the named network, and from no other."
  }
}

run "refuses" {
  command = plan

  variables {
    name                = "ml_test"
    kubernetes_version  = "1.20"
    admin_role_arns     = []
    public_access_cidrs = ["0.0.0.0/0"]
    instance_types      = []
    nodes               = { min = 1, max = 0 }
    subnet_ids          = ["subnet-1"]
    kms_key_arn         = "alias/key"
  }

  expect_failures = [
    var.name, var.kubernetes_version, var.admin_role_arns, var.public_access_cidrs, var.instance_types, var.nodes,
    var.subnet_ids, var.kms_key_arn,
  ]
}
