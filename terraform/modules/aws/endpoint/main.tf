# The serving image of a project on SageMaker, behind an endpoint that IAM guards: for callers that have an identity of
# AWS and no way into the cluster. It answers from one bundle, and reads the online store that the cluster writes.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.name

  setting     = upper(var.package)
  bucket_arn  = "arn:${local.partition}:s3:::${var.model.bucket}"
  in_region   = "arn:${local.partition}:ec2:${local.region}:${local.account}"
  subnet_arns = [for subnet in var.network.subnet_ids : "${local.in_region}:subnet/${subnet}"]

  # What the image needs to know to be SageMaker's: its port, the folder of the bundle, and that IAM has asked already.
  environment = merge(var.settings, {
    PORT                = "8080"
    FIXED_BUNDLE        = "/opt/ml/model"
    FRONT_AUTHENTICATES = "true"
  })

  # A model and a configuration never change; another image or bundle is another one, named after what is in it.
  content = nonsensitive(substr(sha256(jsonencode([var.image, var.model, local.environment, var.network])), 0, 8))
  sizing  = substr(sha256(jsonencode([local.content, var.instance_type, var.instances])), 0, 8)
}

# SageMaker would make it itself: unencrypted, and kept for ever.
resource "aws_cloudwatch_log_group" "this" {
  name              = "/aws/sagemaker/Endpoints/${var.name}"
  retention_in_days = 365
  kms_key_id        = var.kms_key_arn
}

resource "aws_iam_role" "this" {
  name        = "${var.name}-endpoint"
  description = "What SageMaker does to run ${var.name}: fetch its image and its bundle, and write its log"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "sagemaker.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  })
}

resource "aws_iam_role_policy" "this" {
  name = "endpoint"
  role = aws_iam_role.this.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "Bundle"
        Effect   = "Allow"
        Action   = "s3:GetObject"
        Resource = "${local.bucket_arn}/${var.model.key}"
      },
      {
        # Without it, a bundle that is not there reads as one that is forbidden.
        Sid       = "FindBundle"
        Effect    = "Allow"
        Action    = "s3:ListBucket"
        Resource  = local.bucket_arn
        Condition = { StringEquals = { "s3:prefix" = var.model.key } }
      },
      {
        Sid       = "KeyOfTheLake"
        Effect    = "Allow"
        Action    = "kms:Decrypt"
        Resource  = var.model.key_arn
        Condition = { StringEquals = { "kms:ViaService" = "s3.${local.region}.amazonaws.com" } }
      },
      {
        # The disk of the machines is encrypted by a grant that SageMaker asks for, and nobody else may.
        Sid       = "KeyOfTheDisk"
        Effect    = "Allow"
        Action    = "kms:CreateGrant"
        Resource  = var.kms_key_arn
        Condition = { Bool = { "kms:GrantIsForAWSResource" = "true" } }
      },
      {
        Sid      = "Image"
        Effect   = "Allow"
        Action   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
        Resource = var.image.repository_arn
      },
      {
        # AWS signs in to the registry as a whole, not to a repository; what may be read there is said above.
        Sid      = "SignInToTheRegistry"
        Effect   = "Allow"
        Action   = "ecr:GetAuthorizationToken"
        Resource = "*"
      },
      {
        Sid      = "Log"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
        Resource = "${aws_cloudwatch_log_group.this.arn}:*" # its streams
      },
      {
        # Metrics have no ARN; their namespace is the bound.
        Sid       = "Metrics"
        Effect    = "Allow"
        Action    = "cloudwatch:PutMetricData"
        Resource  = "*"
        Condition = { StringEquals = { "cloudwatch:namespace" = "/aws/sagemaker/Endpoints" } }
      },
      {
        Sid      = "StandInTheSubnets"
        Effect   = "Allow"
        Action   = "ec2:CreateNetworkInterface"
        Resource = concat(local.subnet_arns, ["${local.in_region}:security-group/${aws_security_group.this.id}"])
      },
      {
        Sid    = "InterfacesInTheSubnets"
        Effect = "Allow"
        Action = [
          "ec2:CreateNetworkInterface", "ec2:CreateNetworkInterfacePermission", "ec2:DeleteNetworkInterface",
          "ec2:DeleteNetworkInterfacePermission",
        ]
        Resource  = "${local.in_region}:network-interface/*"
        Condition = { ArnEquals = { "ec2:Subnet" = local.subnet_arns } }
      },
      {
        # EC2 takes no resource where it only lists.
        Sid    = "LookAtTheNetwork"
        Effect = "Allow"
        Action = [
          "ec2:DescribeDhcpOptions", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets",
          "ec2:DescribeVpcs",
        ]
        Resource = "*"
      },
    ]
  })
}

# Nobody connects to it: calls arrive through SageMaker. It connects to S3, for the bundle, and to the online store.

resource "aws_security_group" "this" {
  #checkov:skip=CKV2_AWS_5:The model below stands in it, which checkov does not follow
  name        = "${var.name}-endpoint"
  description = "The endpoint ${var.name}: out to S3 and to the online store, nothing in"
  vpc_id      = var.network.vpc_id
}

data "aws_ec2_managed_prefix_list" "s3" {
  name = "com.amazonaws.${local.region}.s3"
}

resource "aws_vpc_security_group_egress_rule" "s3" {
  security_group_id = aws_security_group.this.id
  description       = "The bundle, from S3"
  prefix_list_id    = data.aws_ec2_managed_prefix_list.s3.id
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_egress_rule" "cache" {
  security_group_id            = aws_security_group.this.id
  description                  = "The online store"
  referenced_security_group_id = var.network.cache_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = 6379
  to_port                      = 6379
}

resource "aws_vpc_security_group_ingress_rule" "cache" {
  security_group_id            = var.network.cache_security_group_id
  description                  = "Redis from the endpoint ${var.name}"
  referenced_security_group_id = aws_security_group.this.id
  ip_protocol                  = "tcp"
  from_port                    = 6379
  to_port                      = 6379
}

resource "aws_sagemaker_model" "this" {
  #checkov:skip=CKV_AWS_370:In isolation it could not read the online store; its security group lets it reach that and S3, and the network has no way out
  name               = "${var.name}-${local.content}"
  execution_role_arn = aws_iam_role.this.arn

  primary_container {
    image          = "${var.image.repository_url}:${var.image.tag}"
    model_data_url = "s3://${var.model.bucket}/${var.model.key}"
    environment    = { for name, value in local.environment : "${local.setting}_${name}" => value }
  }

  vpc_config {
    subnets            = var.network.subnet_ids
    security_group_ids = [aws_security_group.this.id]
  }

  # The new one serves before the old one goes.
  lifecycle {
    create_before_destroy = true
  }

  depends_on = [aws_iam_role_policy.this, aws_vpc_security_group_egress_rule.s3]
}

# Without data capture: what is asked is in no bucket that nobody tidies up.
resource "aws_sagemaker_endpoint_configuration" "this" {
  name        = "${var.name}-${local.sizing}"
  kms_key_arn = var.kms_key_arn

  production_variants {
    variant_name           = "champion"
    model_name             = aws_sagemaker_model.this.name
    instance_type          = var.instance_type
    initial_instance_count = var.instances
  }

  lifecycle {
    create_before_destroy = true
  }
}

# A change is blue and green: new machines answer /ping before the old ones go.
resource "aws_sagemaker_endpoint" "this" {
  name                 = var.name
  endpoint_config_name = aws_sagemaker_endpoint_configuration.this.name

  depends_on = [aws_cloudwatch_log_group.this, aws_vpc_security_group_egress_rule.cache, aws_vpc_security_group_ingress_rule.cache]
}
