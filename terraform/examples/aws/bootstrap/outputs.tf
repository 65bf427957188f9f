output "backend" {
  description = "What a root's `terraform init -backend-config=backend.hcl` needs; each root adds its own `key`."
  value       = <<-HCL
    bucket     = "${aws_s3_bucket.state.bucket}"
    region     = "${var.region}"
    kms_key_id = "${aws_kms_key.state.arn}"
  HCL
}
